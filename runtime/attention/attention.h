/* attention.h: attention variants: from equations to forward and backward
 * passes that never hold an n x n matrix.
 *
 * For query i and key j of a head the variant's program gives a log-weight u
 * or a weight w from products of the two vectors, positions and captured
 * tensors.  With the row's weights w_ij and its normaliser phi_i
 *
 *     out_i = sum_j w_ij v_j / phi_i ,     phi_i = phi(sum, max, l2 of the row).
 *
 * Work goes by blocks of query rows: products with all keys that the mask
 * lets the block see (tiles found empty by interval arithmetic are skipped),
 * the program over strips, the row function, the product with the values.
 * The backward pass recomputes from q, k, v; nothing else is kept.
 *
 * Every weight of the form exp(u) is used relative to the row's largest u and
 * cannot overflow.  Rows without any unmasked key give 0 and no gradient.
 * Results do not depend on the number of threads: work items are fixed by the
 * shapes and partial gradients are added in item order.
 *
 * Shapes: q (.., n_q, d), k (.., n_k, d), v (.., n_k, e), out (.., n_q, e) with
 * .. = nothing, heads, or batch and heads; q may have a multiple of k's heads.
 * Position of query row r is i = r + n_k - n_q: the last query sits at the
 * last key.                                                                  */
#ifndef QA_ATTENTION_H
#define QA_ATTENTION_H
#include "runtime/grad/grad.h"
#include "runtime/program/program.h"
#include "runtime/tensor/random.h"

/* Variables that every variant has, in this order; vector products follow. */
enum { AV_I, AV_J, AV_NQ, AV_NK, AV_D, AV_H, AV_HEADS, AV_BATCH,
       AV_SUM, AV_MAX, AV_L2, AV_L1, AV_COUNT, AV_SEED, AV_FIRST_LEAF };

typedef enum {
  ATTN_DOT, ATTN_DIST2,       /* squared distance                             */
  ATTN_L1,                    /* sum of |x_c - y_c|                           */
  ATTN_NORM2,                 /* squared length of the left vector            */
  ATTN_NORM                   /* its length                                   */
} AttnProduct;
typedef enum { ATTN_Q, ATTN_K, ATTN_VEC } AttnSide;   /* VEC: a captured vector */

typedef struct {
  uint8_t product, left, right;
  int16_t left_slot, right_slot;   /* of VEC sides: tensor (d) or (heads, d)   */
  int var;                         /* the variable that holds it               */
  uint8_t stage;
} AttnLeaf;
#define ATTN_MAX_LEAF 16

typedef enum { ATTN_PREP_NONE, ATTN_PREP_UNIT, ATTN_PREP_RMS, ATTN_PREP_ROPE } AttnPrep;
typedef enum { ATTN_NORM_PHI, ATTN_NORM_SPARSEMAX, ATTN_NORM_ENTMAX,
               ATTN_NORM_SINKHORN } AttnNorm;
/* TOP: the m largest; SAMPLE, ARGMAX: one key, drawn or the largest. */
typedef enum { ATTN_ALL, ATTN_TOP, ATTN_SAMPLE, ATTN_ARGMAX } AttnSelect;

typedef struct AttnCode AttnCode;  /* plans, made on first use                 */

/* A variant.  Node numbers refer to prog; -1: absent.  Fixed once it is used:
 * plans are kept. */
typedef struct AttnSpec {
  uint32_t refs;
  struct AttnSpec *owner;          /* of a causal form: whose it is, and who is counted */
  struct AttnSpec *causal;         /* made on first use, or NULL               */
  char name[64];
  Prog prog;
  Arena arena;                     /* names                                    */
  AttnLeaf leaf[ATTN_MAX_LEAF];
  int n_leaf;
  int out;                         /* log-weight or weight                     */
  bool log;                        /* which                                    */
  int mask;
  AttnNorm norm;
  int phi;                         /* ATTN_NORM_PHI: the divisor               */
  int alpha;                       /* entmax                                   */
  int rounds;                      /* sinkhorn                                 */
  AttnSelect select;
  bool through;                    /* gradients as if nothing were left out: always with one key */
  int tau;                         /* temperature of the softmax that gradients then see */
  int top, dropout, iterate;
  AttnPrep prep;
  int rope_base;
  const char *map;                 /* how a map of q and k is applied before, for explain; or NULL */
  AttnCode *code[4];               /* f32, f64; the same for short rows        */
} AttnSpec;

AttnSpec *attn_spec_new(Rt *rt, const char *name);    /* norm = sum, nothing else set */
static inline AttnSpec *attn_spec_ref(AttnSpec *s) {
  (s->owner ? s->owner : s)->refs++;
  return s;
}
void attn_spec_unref(Rt *rt, AttnSpec *s);
/* The variant with `j <= i` joined to its mask; lives as long as s. NULL: no memory. */
AttnSpec *attn_spec_causal(Rt *rt, AttnSpec *s);
/* The node of a product of two vectors; equal products share one. cos and
 * overlap (= cos^2) are built from products.  -1: too many.                   */
int attn_product(AttnSpec *s, AttnProduct product, AttnSide left, int left_slot,
                 AttnSide right, int right_slot);
int attn_cos(AttnSpec *s, AttnSide left, int left_slot, AttnSide right, int right_slot);
/* Sets the weight: takes the logarithm where the weight is an exponential. */
void attn_set_weight(AttnSpec *s, int node);
void attn_set_score(AttnSpec *s, int node);
int attn_norm_sum(AttnSpec *s);    /* node of the row's sum; also for max, l2, count via prog_var */

/* Signs.  NEGATIVE: somewhere, whatever the slots hold; MAYBE: for some of their
 * values, or bounds do not exclude it.                                        */
typedef enum { ATTN_SIGN_OK, ATTN_SIGN_MAYBE, ATTN_SIGN_NEGATIVE } AttnSign;
/* slot: ranges of the values in the slots; NULL: as declared, and captured values
 * and arguments may be any number.  bounds: of the weight.                     */
AttnSign attn_weight_sign(const AttnSpec *s, const Interval *slot, Interval *bounds);

typedef struct {
  Tensor *q, *k, *v;               /* f32 or f64, the same; v NULL for weights and energies */
  Tensor *const *slot;             /* one per slot of prog: bool, i64, f32, f64 */
  bool train;                      /* dropout on                               */
  Tensor **keys;                   /* op_attn_draw: receives f64 (B H n_q), -1: none */
  int64_t past;                    /* keys before k that are not in it: matrix states */
} AttnArgs;

/* New tensors; recorded on the tape as one node each round (`iterate`).       */
Tensor *op_attend(Rt *rt, AttnSpec *s, const AttnArgs *a);
Tensor *op_attn_weights(Rt *rt, AttnSpec *s,
                        const AttnArgs *a); /* (.., n_q, n_k), rows as used on v */
Tensor *op_attn_energies(Rt *rt, AttnSpec *s,
                         const AttnArgs *a); /* -log weight; inf where masked */

/* Decoding: the new rows of a sequence whose earlier keys are kept.  op_attn_map applies the
 * variant's own prep to rows that begin at position `first`; op_attend_mapped attends with q and
 * k that are mapped already.                                                   */
Tensor *op_attn_map(Rt *rt, AttnSpec *s, const AttnArgs *a, Tensor *x, int64_t first);
Tensor *op_attend_mapped(Rt *rt, AttnSpec *s, const AttnArgs *a);
/* Does the variant keep a matrix state in the place of keys and values? */
bool attn_has_state(const AttnSpec *s);
/* One step of it: s0, z0 the states so far (NULL: none), *s1, *z1 those with a->k and a->v;
 * a->past keys came before.                                                    */
Tensor *op_attend_state(Rt *rt, AttnSpec *s, const AttnArgs *a, const Tensor *s0, const Tensor *z0,
                        Tensor **s1, Tensor **z1);

/* One key a row, drawn with the row's weights, which have to be probabilities (norm sum,
 * sparsemax or entmax): the logarithm of its weight (.., n_q), 0 where nothing is seen.
 * Differentiable in q, k and slots; no dropout.                                */
Tensor *op_attn_draw(Rt *rt, AttnSpec *s, const AttnArgs *a);

/* What was made of the variant: class, bounds, program and its derivative.  With a call
 * also its tiles, flops and bytes; measure: a short run of it on this thread, time, share
 * of the machine's measured peak and memory.                                     */
RtStatus attn_explain(Rt *rt, AttnSpec *s, const AttnArgs *a, bool measure, Buf *out);
#endif
