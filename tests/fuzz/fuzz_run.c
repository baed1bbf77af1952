/* fuzz_run.c: runs any text under tiny limits.  Whatever it says, the call
 * comes back with a status and a message, and the state can be closed.       */
#include "lang/qa.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drop(void *user, const char *text, size_t n) {
  (void)user; (void)text; (void)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  qa_Config c;
  qa_config_init(&c);
  c.memory_limit = 8 << 20;
  c.step_limit = 20000;
  c.time_limit = 0.5;
  c.threads = 1;
  c.deny_files = c.deny_network = true;
  c.write = c.log = drop;
  char *text = malloc(size + 1);
  qa_State *S = text ? qa_open(&c) : NULL;
  if (S) {
    qa_Value v;
    const char *shown;
    memcpy(text, data, size);
    text[size] = 0;
    qa_Status status = qa_eval(S, text, "fuzz", &v);
    if (status == QA_OK) {
      if (qa_to_text(S, v, &shown) == QA_OK && !shown) abort();
      qa_release(S, v);
    } else {
      /* a failure without a text would leave the user alone with it */
      if (strncmp(qa_message(S), "error", 5) && strncmp(qa_message(S), "warning", 7)) abort();
      if (qa_message_json(S)[0] != '{') abort();
    }
    /* the state goes on working */
    if (qa_eval(S, "1 + 1", "after", &v) == QA_OK) qa_release(S, v);
    qa_close(S);
  }
  free(text);
  return 0;
}
