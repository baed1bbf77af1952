/* host.c: qa inside another program.
 *
 * Evaluates text, lends a tensor to a script and looks at one that comes
 * back, both without copying, offers a C function to scripts, sets limits,
 * and stops a script from another thread.  Prints one line for each.         */
#include <qa.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- a C function for scripts: sensor(channel, gain = 1.0) ------------------- */

typedef struct { double reading[4]; int calls; } Device;

static qa_Status read_sensor(qa_State *S, void *user, const qa_Value *args, int n, qa_Value *result) {
  Device *device = user;
  int64_t channel;
  double gain;
  (void)n;
  if (qa_get_int(S, args[0], &channel) || qa_get_float(S, args[1], &gain))
    return qa_raise(S, "sensor needs a channel and a gain");
  if (channel < 0 || channel > 3) return qa_raise(S, "sensor has channels 0 to 3");
  device->calls++;
  *result = qa_float(device->reading[channel] * gain);
  return QA_OK;
}

static int use_sensor(qa_State *S) {
  static Device device = {{0.5, 1.5, 2.5, 3.5}, 0};
  qa_Value v;
  double x;
  if (qa_register(S, "sensor", "channel, gain = 1.0", "Reads a channel of the device.", read_sensor, &device))
    return 1;
  if (qa_eval(S, "sensor(1) + sensor(3, gain = 10)", "host", &v) || qa_get_float(S, v, &x)) return 1;
  qa_release(S, v);
  printf("sensor: %.1f after %d calls\n", x, device.calls);
  /* an error of the C function is an error of the script, with its place */
  if (qa_eval(S, "sensor(9)", "host", NULL) != QA_FAILED) return 1;
  printf("%s", qa_message(S));
  return 0;
}

/* ---- tensors in and out ---------------------------------------------------------- */

static void give_back(void *data, void *user) {
  *(int *)user += 1;
  free(data);
}

static int lend_tensor(qa_State *S) {
  const int64_t shape[2] = {256, 64};
  int released = 0;
  float *data = malloc(256 * 64 * sizeof *data);
  qa_Value x, f, y;
  qa_TensorView in, out;
  if (!data) return 1;
  for (int i = 0; i < 256 * 64; i++) data[i] = (float)(i % 64);
  if (qa_new_tensor(S, QA_DT_F32, 2, shape, NULL, data, give_back, &released, &x)) return 1;
  if (qa_get_tensor(S, x, &in) || in.data != data) return 1;   /* the same memory */
  if (qa_eval(S, "x => sum(x, axis = 0) / len(x)", "host", &f)) return 1;
  if (qa_call(S, f, &x, 1, &y) || qa_get_tensor(S, y, &out)) return 1;
  printf("tensor: mean of column 5 is %.1f, shape (%lld)\n", ((const float *)out.data)[5],
         (long long)out.shape[0]);
  qa_release(S, y);
  qa_release(S, f);
  qa_release(S, x);
  printf("tensor: given back %d time\n", released);
  return released != 1;
}

/* ---- limits and interruption --------------------------------------------------------- */

static void *stop_it(void *state) {
  struct timespec wait = {.tv_nsec = 50 * 1000 * 1000};
  nanosleep(&wait, NULL);
  qa_interrupt(state);
  return NULL;
}

static int stay_in_charge(void) {
  qa_Config config;
  qa_Value v;
  pthread_t thread;
  qa_config_init(&config);
  config.memory_limit = 64 << 20;
  config.deny_files = true;
  qa_State *S = qa_open(&config);
  if (!S) return 1;
  if (qa_eval(S, "zeros(1000, 1000, 1000)", "host", NULL) != QA_LIMIT) return 1;
  printf("memory: refused\n");
  if (qa_eval(S, "read_text(\"/etc/hostname\")", "host", NULL) != QA_FAILED) return 1;
  printf("files: refused\n");
  if (pthread_create(&thread, NULL, stop_it, S)) return 1;
  qa_Status status = qa_eval(S, "var i = 0; while true { i += 1 }", "host", NULL);
  pthread_join(thread, NULL);
  if (status != QA_INTERRUPTED) return 1;
  /* the state goes on working */
  if (qa_eval(S, "6 * 7", "host", &v)) return 1;
  int64_t n;
  if (qa_get_int(S, v, &n)) return 1;
  printf("interrupted, then: %lld\n", (long long)n);
  qa_close(S);
  return 0;
}

int main(void) {
  qa_State *S = qa_open(NULL);
  if (!S) return 1;
  int failed = use_sensor(S) || lend_tensor(S);
  if (failed) fprintf(stderr, "%s", qa_message(S));
  qa_close(S);
  return failed || stay_in_charge();
}
