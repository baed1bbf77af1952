/* datasets.c: the data sets every script can use.
 *
 * digits() is inside the binary.  The others are files, looked for in
 * $QA_DATA, then ../shared/data, then ~/.cache/qa/data.  Each gives a record
 * {name, train: {x, y}, test: {x, y}, classes, labels}.                      */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lang/bind/files.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/embedded.h"

/* ---- finding files ------------------------------------------------------------------ */

enum { ROOTS = 3 };

/* The folders that are searched, in order; an empty one is not set. */
static void data_roots(char roots[ROOTS][1024]) {
  const char *set = getenv("QA_DATA"), *home = getenv("HOME");
  snprintf(roots[0], 1024, "%s", set ? set : "");
  snprintf(roots[1], 1024, "../shared/data");
  if (home && *home) snprintf(roots[2], 1024, "%s/.cache/qa/data", home);
  else roots[2][0] = 0;
}

/* Reads `folder/file` or `folder/file.gz` from the first root that has it;
 * with `optional` absence is no error and leaves out->data NULL.             */
static int find_file(Vm *vm, const char *folder, const char *file, bool optional, Buf *out) {
  char roots[ROOTS][1024], path[4096];
  Rt *rt = vm_rt(vm);
  *out = (Buf){0};
  if (rt->deny_files) return vm_error(vm, "%s: files are denied here", folder);
  data_roots(roots);
  for (int k = 0; k < ROOTS; k++)
    for (int gz = 1; gz >= 0 && roots[k][0]; gz--) {
      snprintf(path, sizeof path, "%s/%s/%s%s", roots[k], folder, file, gz ? ".gz" : "");
      if (access(path, R_OK) == 0) return file_read(rt, path, data_limit(rt), out) != RT_OK;
    }
  if (optional) return 0;
  vm_error(vm, "cannot find %s/%s.gz: looked in QA_DATA (%.120s), %s and %.120s", folder, file,
           roots[0][0] ? roots[0] : "not set", roots[1],
           roots[2][0] ? roots[2] : "~/.cache/qa/data");
  vm_help(vm, "set QA_DATA to the folder that holds %s/", folder);
  return 1;
}

/* ---- records ------------------------------------------------------------------------ */

/* Takes over v; remembers a failure in *failed. */
static void field(Vm *vm, Record *r, const char *key, Value v, int *failed) {
  if (*failed || !r) value_unref(vm, v);
  else *failed = record_set(vm, r, key, v);
}

static Value text_value(Vm *vm, const char *s, size_t n, int *failed) {
  Str *str = str_new(vm, s, n);
  if (!str) *failed = 1;
  return str ? value_obj(str) : NIL_VALUE;
}

/* {x, y}; takes over both tensors. */
static Value pair_value(Vm *vm, Tensor *x, Tensor *y, int *failed) {
  Record *r = x && y ? record_new(vm, 2) : NULL;
  if (!r) {
    tensor_unref(vm_rt(vm), x);
    tensor_unref(vm_rt(vm), y);
    *failed = 1;
    return NIL_VALUE;
  }
  field(vm, r, "x", value_obj(x), failed);
  field(vm, r, "y", value_obj(y), failed);
  return value_obj(r);
}

static Value labels_value(Vm *vm, int n, const char *const *names, int *failed) {
  List *l = list_new(vm, false, (uint32_t)n);
  if (!l) {
    *failed = 1;
    return NIL_VALUE;
  }
  for (int i = 0; i < n && !*failed; i++) {
    Value s = text_value(vm, names[i], strlen(names[i]), failed);
    if (!*failed) *failed = list_push(vm, l, s);
  }
  return value_obj(l);
}

/* Takes over the four tensors. */
static int image_set(Vm *vm, const char *name, const char *const *labels, Tensor *t[4],
                     Value *out) {
  int failed = 0;
  Value train = pair_value(vm, t[0], t[1], &failed), test = pair_value(vm, t[2], t[3], &failed);
  Record *r = record_new(vm, 5);
  if (!r) failed = 1;
  field(vm, r, "name", text_value(vm, name, strlen(name), &failed), &failed);
  field(vm, r, "train", train, &failed);
  field(vm, r, "test", test, &failed);
  field(vm, r, "classes", value_int(10), &failed);
  field(vm, r, "labels", labels_value(vm, 10, labels, &failed), &failed);
  if (failed) {
    if (r) value_unref(vm, value_obj(r));
    return 1;
  }
  *out = value_obj(r);
  return 0;
}

static const char *const digit_names[10] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

/* ---- digits --------------------------------------------------------------------------- */

enum { DIGITS = 1797, PIXELS = 64 };

static int digits_decode(Vm *vm, Tensor **x, Tensor **y) {
  Rt *rt = vm_rt(vm);
  const EmbeddedFile *file = embedded_find("data/digits.csv.gz");
  Buf text;
  CsvTable t;
  if (!file) return vm_error(vm, "digits: this qa was built without data/digits.csv.gz");
  if (data_gunzip(rt, file->data, file->size, "digits.csv.gz", &text)) return 1;
  RtStatus st = csv_parse(rt, text.data, text.len, "digits.csv", ',', &t);
  buf_free(&text);
  if (st) return 1;
  if (t.rows != DIGITS || t.cols != PIXELS + 1) {
    csv_free(&t);
    return vm_error(vm, "digits: data/digits.csv.gz has another shape than 1797 x 65");
  }
  *x = tensor_new(rt, DT_F32, 3, (int64_t[]){DIGITS, 8, 8});
  *y = *x ? tensor_new(rt, DT_I64, 1, (int64_t[]){DIGITS}) : NULL;
  for (int i = 0; *y && i < DIGITS; i++) {
    for (int k = 0; k < PIXELS; k++)
      ((float *)(void *)(*x)->data)[i * PIXELS + k] = (float)(atof(csv_field(&t, i, k)) / 16);
    ((int64_t *)(void *)(*y)->data)[i] = atoi(csv_field(&t, i, PIXELS)) % 10;
  }
  csv_free(&t);
  if (*y) return 0;
  tensor_unref(rt, *x);
  return 1;
}

/* fold_of[i]: class by class, each in one fixed random order, images are dealt
 * out in turn: folds differ by one image, classes within them by one.        */
static int digits_folds(Vm *vm, const Tensor *y, int64_t folds, int64_t *fold_of) {
  Rt *rt = vm_rt(vm);
  Tensor *order = tensor_permutation(rt, rng_seeded(1797), DIGITS);
  if (!order) return 1;
  const int64_t *o = (const int64_t *)(const void *)order->data;
  const int64_t *label = (const int64_t *)(const void *)y->data;
  int64_t dealt = 0;
  for (int64_t c = 0; c < 10; c++)
    for (int i = 0; i < DIGITS; i++)
      if (label[o[i]] == c) fold_of[o[i]] = dealt++ % folds;
  tensor_unref(rt, order);
  return 0;
}

/* The images in (or outside) a fold, in the file's order. */
static int digits_part(Vm *vm, Tensor *x, Tensor *y, const int64_t *fold_of, int64_t fold,
                       bool inside, Tensor **px, Tensor **py) {
  Rt *rt = vm_rt(vm);
  int64_t n = 0;
  for (int i = 0; i < DIGITS; i++) n += (fold_of[i] == fold) == inside;
  Tensor *at = tensor_new(rt, DT_I64, 1, &n);
  if (!at) return 1;
  n = 0;
  for (int64_t i = 0; i < DIGITS; i++)
    if ((fold_of[i] == fold) == inside) ((int64_t *)(void *)at->data)[n++] = i;
  Index ix = {.kind = IX_TENSOR, .tensor = at};
  *px = tensor_index(rt, x, 1, &ix);
  *py = *px ? tensor_index(rt, y, 1, &ix) : NULL;
  tensor_unref(rt, at);
  return *py == NULL;
}

static int bind_digits(Vm *vm, Value *args, int n, Value *out) {
  int64_t fold, folds, fold_of[DIGITS];
  Tensor *x = NULL, *y = NULL, *t[4] = {NULL};
  if (arg_int(vm, args[0], "fold", &fold) || arg_int(vm, args[1], "folds", &folds)) return 1;
  if (folds < 2 || folds > DIGITS)
    return vm_error(vm, "digits: folds must lie in 2..=1797, found %lld", (long long)folds);
  if (fold < 0 || fold >= folds)
    return vm_error(vm, "digits: fold %lld does not exist, the %lld folds are numbered from 0",
                    (long long)fold, (long long)folds);
  if (digits_decode(vm, &x, &y)) return 1;
  int failed = digits_folds(vm, y, folds, fold_of) ||
               digits_part(vm, x, y, fold_of, fold, false, &t[0], &t[1]) ||
               digits_part(vm, x, y, fold_of, fold, true, &t[2], &t[3]);
  tensor_unref(vm_rt(vm), x);
  tensor_unref(vm_rt(vm), y);
  if (!failed) return image_set(vm, "digits", digit_names, t, out);
  for (int k = 0; k < 4; k++) tensor_unref(vm_rt(vm), t[k]);
  return 1;
}

/* ---- MNIST and Fashion-MNIST ------------------------------------------------------------ */

static int idx_part(Vm *vm, const char *folder, const char *part, Tensor **x, Tensor **y) {
  Rt *rt = vm_rt(vm);
  char name[64], shape[128];
  Buf b;
  for (int labels = 0; labels < 2; labels++) {
    snprintf(name, sizeof name, "%s-%s-ubyte", part, labels ? "labels-idx1" : "images-idx3");
    if (find_file(vm, folder, name, false, &b)) return 1;
    *(labels ? y : x) = idx_decode(rt, b.data, b.len, name, labels ? 0 : 255);
    buf_free(&b);
    if (!*(labels ? y : x)) return 1;
  }
  bool fits = (*x)->rank == 3 && (*y)->rank == 1 && (*x)->shape[0] == (*y)->shape[0] &&
              (*y)->dtype == DT_I64;
  for (int64_t i = 0; fits && i < (*y)->size; i++) fits = (uint64_t)tensor_get_i64(*y, i) < 10;
  if (fits) return 0;
  return vm_error(vm, "%s: the %s images %s and their labels do not belong together", folder, part,
                  tensor_shape_text(*x, shape));
}

static int idx_set(Vm *vm, const char *folder, const char *const *labels, Value *out) {
  Tensor *t[4] = {NULL};
  if (!idx_part(vm, folder, "train", &t[0], &t[1]) && !idx_part(vm, folder, "t10k", &t[2], &t[3]))
    return image_set(vm, folder, labels, t, out);
  for (int k = 0; k < 4; k++) tensor_unref(vm_rt(vm), t[k]);
  return 1;
}

static int bind_mnist(Vm *vm, Value *args, int n, Value *out) {
  return idx_set(vm, "mnist", digit_names, out);
}

static int bind_fashion_mnist(Vm *vm, Value *args, int n, Value *out) {
  static const char *const names[10] = {"T-shirt/top", "trouser",   "pullover", "dress",
                                        "coat",        "sandal",    "shirt",    "sneaker",
                                        "bag",         "ankle boot"};
  return idx_set(vm, "fashion-mnist", names, out);
}

/* ---- CIFAR-10 ------------------------------------------------------------------------------ */

/* The batches of `names` that are there, as one tensor. */
static int cifar_part(Vm *vm, int count, const char *const *names, int needed, Tensor **x,
                      Tensor **y) {
  Buf files[5] = {{0}};
  const char *found[5];
  int n = 0, failed = 0;
  for (int k = 0; k < count && !failed && n < needed; k++) {
    failed = find_file(vm, "cifar10", names[k], true, &files[n]);
    if (files[n].data) found[n++] = names[k];
  }
  if (!failed && n == 0) failed = find_file(vm, "cifar10", names[0], false, &files[0]);
  if (!failed) failed = cifar_decode(vm_rt(vm), n, files, found, x, y) != RT_OK;
  for (int k = 0; k < 5; k++) buf_free(&files[k]);
  return failed;
}

static int bind_cifar10(Vm *vm, Value *args, int n, Value *out) {
  static const char *const train[5] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                       "data_batch_4.bin", "data_batch_5.bin"};
  static const char *const test[2] = {"test_batch.bin", "test_batch_first1000.bin"};
  static const char *const names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                        "dog",      "frog",       "horse", "ship", "truck"};
  Tensor *t[4] = {NULL};
  if (!cifar_part(vm, 5, train, 5, &t[0], &t[1]) && !cifar_part(vm, 2, test, 1, &t[2], &t[3]))
    return image_set(vm, "cifar10", names, t, out);
  for (int k = 0; k < 4; k++) tensor_unref(vm_rt(vm), t[k]);
  return 1;
}

/* ---- Tiny Shakespeare ---------------------------------------------------------------------- */

static Tensor *token_range(Rt *rt, const Buf *b, const int16_t *token, size_t from, size_t to) {
  Tensor *t = tensor_new(rt, DT_I64, 1, (int64_t[]){(int64_t)(to - from)});
  for (size_t i = from; t && i < to; i++)
    ((int64_t *)(void *)t->data)[i - from] = token[(unsigned char)b->data[i]];
  return t;
}

static int bind_shakespeare(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Buf b;
  int16_t token[256];
  int count = 0, failed = 0;
  bool seen[256] = {false};
  if (find_file(vm, "tinyshakespeare", "input.txt", false, &b)) return 1;
  for (size_t i = 0; i < b.len; i++) seen[(unsigned char)b.data[i]] = true;
  for (int c = 128; c < 256; c++) failed |= seen[c];
  if (failed || seen[0] || b.len < 2) {
    buf_free(&b);
    return vm_error(vm, "shakespeare: tinyshakespeare/input.txt is not plain ASCII text");
  }
  for (int c = 0; c < 256; c++) token[c] = (int16_t)(seen[c] ? count++ : 0);
  size_t cut = b.len * 9 / 10;   /* nanoGPT's split: 1003854 and 111540 */
  Tensor *train = token_range(rt, &b, token, 0, cut),
         *test = token_range(rt, &b, token, cut, b.len);
  List *vocab = list_new(vm, false, (uint32_t)count);
  Record *r = record_new(vm, 6);
  failed = !train || !test || !vocab || !r;
  for (int c = 0; c < 128 && !failed; c++) {
    if (!seen[c]) continue;
    Value s = text_value(vm, (char[]){(char)c}, 1, &failed);
    if (!failed) failed = list_push(vm, vocab, s);
  }
  field(vm, r, "name", text_value(vm, "shakespeare", 11, &failed), &failed);
  field(vm, r, "text", failed ? NIL_VALUE : text_value(vm, b.data, b.len, &failed), &failed);
  if (train) field(vm, r, "train", value_obj(train), &failed);
  if (test) field(vm, r, "test", value_obj(test), &failed);
  if (vocab) field(vm, r, "vocab", value_obj(vocab), &failed);
  field(vm, r, "classes", value_int(count), &failed);
  buf_free(&b);
  if (failed && r) value_unref(vm, value_obj(r));
  if (!failed) *out = value_obj(r);
  return failed;
}

#define WHERE                                                                                      \
  "Looked for in QA_DATA, then ../shared/data, then ~/.cache/qa/data."

const Native natives_datasets[] = {
    {"digits", "fold = 0, folds = 5",
     "1797 handwritten digits, images f32 (n, 8, 8) in [0, 1], labels i64: {train: {x, y}, test: "
     "{x, y}, ..}.\n"
     "The split is fixed and stratified: 1437 for training, 360 for testing.  digits(fold = k, "
     "folds = 5) gives the\n"
     "k-th of five such splits, whose test parts together are all images (cross validation).\n"
     "Source: UCI Optical Recognition of Handwritten Digits, as in scikit-learn.  It ships with "
     "qa.",
     bind_digits, NF_CONST},
    {"mnist", "",
     "60000 + 10000 handwritten digits, images f32 (n, 28, 28) in [0, 1], labels i64.\n" WHERE,
     bind_mnist, NF_CONST},
    {"fashion_mnist", "",
     "60000 + 10000 clothes, images f32 (n, 28, 28) in [0, 1], labels i64.\n" WHERE,
     bind_fashion_mnist, NF_CONST},
    {"cifar10", "",
     "Colour photographs, images f32 (n, 32, 32, 3) in [0, 1], labels i64.\n"
     "Training: those of data_batch_1 .. 5 that are there; testing: test_batch, else "
     "test_batch_first1000.\n" WHERE,
     bind_cifar10, NF_CONST},
    {"shakespeare", "",
     "1.1 million characters of plays: {text, vocab, train, test, classes}; train (the first 90 %) "
     "and test are i64\n"
     "positions in vocab, the list of the different characters.\n" WHERE,
     bind_shakespeare, NF_CONST},
    {NULL, NULL, NULL, NULL, 0},
};
