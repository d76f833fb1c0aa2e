/*
 * nn.h: the network core: memory, parameters, the tape and its layers.
 *
 * Plain C11 without postgres.h: nothing here allocates, exits, logs or jumps.  The
 * caller owns all memory and hands it in as arenas; errors are a sticky status on
 * the tape.  Matrices are row-major float.
 *
 * A batch of sequences of unequal length is packed time-major, as
 * torch.nn.utils.rnn.pack_padded_sequence does: sequences are sorted by falling
 * length, step t holds the rows of the size[t] sequences that still run, and no row
 * is padding.
 */
#ifndef SL_NN_H
#define SL_NN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum SlStatus
{
	SL_OK = 0,
	SL_STOPPED,	   /* should_stop() said so */
	SL_NO_MEMORY,  /* an arena was too small */
	SL_NO_BLAS,	   /* OpenBLAS could not be loaded */
	SL_BAD_SHAPE,  /* shapes do not fit together, or a size overflows */
	SL_NOT_FINITE, /* a loss or a gradient became NaN or infinite */
} SlStatus;

/* ---- arenas ---- */

/* With base NULL an arena only counts: that is how memory is estimated. */
typedef struct SlArena
{
	char *base;
	size_t size;
	size_t used;
} SlArena;

#define SL_ALIGN 64

/* count * width bytes aligned to SL_ALIGN, or NULL (counting, full, or overflow: then
 * used becomes SIZE_MAX and stays there).  Memory is not cleared. */
extern void *sl_alloc(SlArena *arena, size_t count, size_t width);

/* ---- parameters ---- */

typedef enum SlInit
{
	SL_INIT_KERNEL,	   /* weight reading inputs */
	SL_INIT_RECURRENT, /* weight reading the previous hidden state */
	SL_INIT_BIAS,
	SL_INIT_EMBEDDING,
} SlInit;

typedef enum SlInitStyle
{
	SL_STYLE_KERAS, /* Glorot uniform, orthogonal, zero bias, forget gate 1 */
	SL_STYLE_TORCH, /* uniform(+-1/sqrt(hidden or fan-in)), embeddings normal */
} SlInitStyle;

/* How training changes a parameter. */
typedef enum SlUpdate
{
	SL_UPDATE_DENSE, /* all of it at every step */
	SL_UPDATE_ROWS, /* a table: rows that a step touched, and no others; see gradient.h */
	SL_UPDATE_NONE, /* not at all: the caller gives its values */
} SlUpdate;

#define SL_NAME_MAX 128 /* a column name with a prefix and a suffix */

/* One named weight, [rows x cols] (cols 0: a vector of rows), at value + offset. */
typedef struct SlParam
{
	char name[SL_NAME_MAX]; /* PyTorch's */
	int rows;
	int cols;
	size_t offset;
	SlInit init;
	int gates;	/* rows hold this many gates of equal size: 4 LSTM, 3 GRU, else 1 */
	int fan_in; /* of the uniform bound in the torch style */
	SlUpdate update;
	size_t grad_offset; /* dense: in the dense gradient */
	int table;			/* rows: which of the gradient's tables */
} SlParam;

#define SL_MAX_PARAMS 256
#define SL_MAX_TABLES 64

/* The list of a network's parameters; the values live in one flat array. */
typedef struct SlParams
{
	SlParam item[SL_MAX_PARAMS];
	int count;
	size_t total;  /* floats; each parameter starts on a SL_ALIGN boundary */
	size_t dense;  /* floats of those updated as a whole */
	size_t active; /* the first of them, which gradients reach; see sl_params_rest() */
	int tables;	   /* those updated by rows */
	bool overflow; /* too many, too long a name, or too large */
} SlParams;

/* Registers a parameter, returns its index. */
extern int sl_param_add(SlParams *params, const char *name, int rows, int cols,
						SlInit init, int gates, int fan_in);

/* The same for a parameter of one gate, with a choice of how it is updated. */
extern int sl_param_add_table(SlParams *params, const char *name, int rows, int cols,
							  SlInit init, int fan_in, SlUpdate update);

/* No gradient reaches the parameters with rests[i], of those updated as a whole: their
 * gradients come last, and what is done with all gradients leaves them out. */
extern void sl_params_rest(SlParams *params, const bool *rests);

/* Fills value[params->total] from the seed; gaps and what is never updated are zeroed.
 * work holds scratch for the orthogonal matrices; SL_NO_MEMORY if it is too small (count
 * with base NULL). */
extern SlStatus sl_params_init(const SlParams *params, SlInitStyle style, uint64_t seed,
							   float *value, SlArena *work);

/* ---- the tape ---- */

typedef struct SlTensor
{
	int rows;
	int cols;
	float *data;
	float *grad; /* NULL where no gradient is wanted */
} SlTensor;

/* How the rows of a batch belong to sequences and steps. */
typedef struct SlPack
{
	int batch;		   /* sequences */
	int steps;		   /* length of the longest */
	int rows;		   /* sum of size[] */
	const int *size;   /* [steps], falling; size[0] == batch */
	const int *offset; /* [steps + 1], running sum of size */
} SlPack;

typedef struct SlOp SlOp;
typedef struct SlPackedWeight SlPackedWeight;
typedef struct SlGradient SlGradient; /* gradient.h */

/* Tensors one pass may make while counting. */
#define SL_MAX_COUNTED 512

/*
 * One pass over one shard.  Set everything up to packed, clear the rest.
 *
 * Layers return NULL once the status is set and take NULL for an input then, so an
 * architecture calls one after the other and its caller looks at the status once.
 * What the caller hands in (data, pack, codes, keys, state_in) must stay unchanged until
 * the backward pass is over.  A tape is played backwards at most once.
 *
 * While counting, value is not read; grad says, by being NULL or not, whether inference
 * or training is counted, and learns how many rows of each table a pass may touch.
 * Forward passes also allocate what backward passes will need, so used after the forward
 * pass is all.
 */
typedef struct SlTape
{
	SlArena *arena; /* activations; the caller resets used between passes */
	const SlParams *params;
	const float *value; /* [params->total] */
	SlGradient *grad;	/* added to; NULL: inference, no tape kept */
	bool dropout;		/* apply dropout (training) */
	uint64_t seed;		/* dropout key: seed, epoch and row, never a stream */
	uint64_t epoch;
	bool (*should_stop)(void *arg); /* may be NULL */
	void *stop_arg;
	const SlPackedWeight *packed; /* from sl_params_pack() of value; NULL: each pass packs
								   * for itself.  In inference only */
	SlStatus status;			  /* first error; layers do nothing once it is set */
	SlOp *last;					  /* newest operation */
	int counted;				  /* of shape[] in use, while counting */
	SlTensor shape[SL_MAX_COUNTED];
} SlTape;

/*
 * The recurrent weights of a network in the order that products read them, for tapes
 * whose value is this one and stays so: a network that is loaded once and asked many
 * times packs once.  All memory is the arena's and as large as the weights; NULL if it
 * has no room or only counts.  Results are the same bits with and without.  It is of this
 * process alone: it points to its kernels.
 */
extern const SlPackedWeight *sl_params_pack(const SlParams *params, const float *value,
											SlArena *arena);

/* True when arena->base is NULL: layers then allocate (count) but do not compute. */
static inline bool
sl_counting(const SlTape *tape)
{
	return tape->arena->base == NULL;
}

/* [rows x cols], uninitialised; grad allocated and zeroed when the tape keeps gradients.
 */
extern SlTensor *sl_tensor(SlTape *tape, int rows, int cols);
/* Wraps data the caller owns; no gradient. */
extern SlTensor *sl_input(SlTape *tape, const float *data, int rows, int cols);

/* Plays the tape backwards; out->grad must have been set.  Adds to tape->grad. */
extern SlStatus sl_backward(SlTape *tape);

/* ---- layers: x is [rows x in]; parameters are indexes from sl_param_add ---- */

/* y = x W' + b; W [out x in], b [out] or -1 for none. */
extern SlTensor *sl_dense(SlTape *tape, SlTensor *x, int weight, int bias);

/* Row codes[i] of W [vocabulary x dim], a table; codes are checked by the caller.  There
 * is no gradient if W is never updated. */
extern SlTensor *sl_embedding(SlTape *tape, const int32_t *codes, int rows, int weight);

/* Columns of count tensors side by side. */
extern SlTensor *sl_concat(SlTape *tape, SlTensor *const *parts, int count);

/*
 * Rows of x in another order, some left out or more than once: row i of the result,
 * [rows x x->cols], is row from[i] of x.  Where from[i] < 0 it is the row -1 - from[i] of
 * other, at other + that * stride, into which no gradient flows, or zeros where other is
 * NULL.
 */
extern SlTensor *sl_gather(SlTape *tape, SlTensor *x, const int *from, int rows,
						   const float *other, size_t stride);

/* max(x, 0), element by element; the gradient at 0 is 0. */
extern SlTensor *sl_relu(SlTape *tape, SlTensor *x);

/* Inverted dropout with probability p, masks keyed by (seed, epoch, row_key[i], salt). */
extern SlTensor *sl_dropout(SlTape *tape, SlTensor *x, float p, const uint64_t *row_key,
							uint32_t salt);

typedef enum SlCell
{
	SL_CELL_GRU, /* gates r, z, n; reset applied after the product, as cuDNN and PyTorch
				  */
	SL_CELL_LSTM /* gates i, f, g, o */
} SlCell;

/* One recurrent layer in one direction. */
typedef struct SlRecurrent
{
	SlCell cell;
	int hidden;
	int weight_ih; /* [gates*hidden x in] */
	int weight_hh; /* [gates*hidden x hidden] */
	int bias_ih;   /* [gates*hidden] */
	int bias_hh;
	bool reverse;			 /* runs from each sequence's last row to its first */
	float recurrent_dropout; /* on h(t-1), one mask a sequence (Gal & Ghahramani 2016) */
	uint32_t salt;
} SlRecurrent;

/* Registers the four parameters as prefix.weight_ih_l<layer>[_reverse] and so on. */
extern SlRecurrent sl_recurrent_define(SlParams *params, const char *prefix, int layer,
									   bool reverse, SlCell cell, int in, int hidden);

/* Floats of state a sequence keeps: hidden (GRU), 2 * hidden (LSTM: h then c). */
extern int sl_recurrent_state(const SlRecurrent *layer);

/*
 * Hidden states of all rows, [pack->rows x hidden].
 *
 * state_in: sequence b's state at state_in + b * stride, or NULL for zeros (then no
 * recurrent product is computed for the first step).  state_out likewise receives each
 * sequence's last state, or NULL; in inference it may be state_in itself.  No gradient
 * flows into state_in: training truncates there.  seq_key[b] keys recurrent dropout.
 */
extern SlTensor *sl_recurrent(SlTape *tape, SlTensor *x, const SlPack *pack,
							  const SlRecurrent *layer, const float *state_in,
							  float *state_out, size_t stride, const uint64_t *seq_key);

/*
 * The same between two states that gradients flow through, as from an encoder into a
 * decoder (Sutskever et al. 2014).  first [batch x sl_recurrent_state] is each sequence's
 * state before the walk, h then c, or NULL for zeros; *last (unless last is NULL)
 * receives a tensor of the same shape with the states after it, in either direction.
 * SL_BAD_SHAPE if first has another shape.
 */
extern SlTensor *sl_recurrent_between(SlTape *tape, SlTensor *x, const SlPack *pack,
									  const SlRecurrent *layer, SlTensor *first,
									  SlTensor **last, const uint64_t *seq_key);

#endif
