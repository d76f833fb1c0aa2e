/*
 * layer.c: the layers without memory of earlier rows: dense, embedding, concat, gather,
 * relu, dropout.
 */
#include "nn/tape.h"

#include <string.h>

#include "nn/cpu.h"
#include "nn/kernel.h"
#include "nn/random.h"

/* ---- dense: y [rows x out] = x [rows x in] W' + b ---- */

typedef struct Dense
{
	SlOp op;
	SlTensor *x;
	SlTensor *y;
	int weight;
	int bias;
} Dense;

/* dW [out x in] += dy' x, db += column sums of dy, dx += dy W. */
static void
dense_backward(SlTape *tape, SlOp *op)
{
	Dense *dense = (Dense *) op;
	SlTensor *x = dense->x;
	SlTensor *y = dense->y;

	sl_tape_gemm(tape, true, false, y->cols, x->cols, y->rows, y->grad, y->cols, x->data,
				 x->cols, 1, sl_grad(tape, dense->weight), x->cols);
	if (dense->bias >= 0)
		sl_column_sums(y->rows, y->cols, y->grad, y->cols, sl_grad(tape, dense->bias));
	if (x->grad != NULL)
		sl_tape_gemm(tape, false, false, y->rows, x->cols, y->cols, y->grad, y->cols,
					 sl_value(tape, dense->weight), x->cols, 1, x->grad, x->cols);
}

SlTensor *
sl_dense(SlTape *tape, SlTensor *x, int weight, int bias)
{
	if (tape->status != SL_OK)
		return NULL;

	const SlParam *shape = sl_shape(tape, weight);

	if (x->cols != shape->cols ||
		(bias >= 0 && sl_shape(tape, bias)->rows != shape->rows))
	{
		sl_fail(tape, SL_BAD_SHAPE);
		return NULL;
	}

	SlTensor *y = sl_tensor(tape, x->rows, shape->rows);
	Dense *dense =
		tape->grad != NULL ? sl_tape_op(tape, sizeof(Dense), dense_backward) : NULL;

	if (tape->status != SL_OK || sl_counting(tape))
		return tape->status == SL_OK ? y : NULL;
	if (dense != NULL)
	{
		dense->x = x;
		dense->y = y;
		dense->weight = weight;
		dense->bias = bias;
	}
	if (!sl_tape_gemm(tape, false, true, x->rows, y->cols, x->cols, x->data, x->cols,
					  sl_value(tape, weight), x->cols, 0, y->data, y->cols))
		return NULL;
	if (bias >= 0)
		sl_add_row(y->rows, y->cols, sl_value(tape, bias), y->data, y->cols);
	return y;
}

/* ---- embedding: y[i] = W[codes[i]], W [vocabulary x dim] ---- */

typedef struct Embedding
{
	SlOp op;
	SlTensor *y;
	const int32_t *codes;
	int weight;
} Embedding;

/* dW[codes[i]] += dy[i], in the order of rows. */
static void
embedding_backward(SlTape *tape, SlOp *op)
{
	Embedding *embedding = (Embedding *) op;
	SlTensor *y = embedding->y;
	SlTableGradient *table = sl_grad_table(tape, embedding->weight);

	for (int i = 0; i < y->rows; i++)
	{
		float *grad = sl_table_touch(table, embedding->codes[i]);

		if (grad == NULL)
		{
			sl_fail(tape, SL_NO_MEMORY);
			return;
		}
		sl_add_row(1, y->cols, y->grad + (size_t) i * y->cols, grad, 0);
	}
}

SlTensor *
sl_embedding(SlTape *tape, const int32_t *codes, int rows, int weight)
{
	if (tape->status != SL_OK)
		return NULL;

	int dim = sl_shape(tape, weight)->cols;
	bool trained = tape->grad != NULL && sl_grad_table(tape, weight) != NULL;
	SlTensor *y = sl_tensor_new(tape, rows, dim, trained);
	Embedding *embedding =
		trained ? sl_tape_op(tape, sizeof(Embedding), embedding_backward) : NULL;

	if (trained && sl_counting(tape))
		sl_table_expect(sl_grad_table(tape, weight), rows);
	if (tape->status != SL_OK || sl_counting(tape))
		return tape->status == SL_OK ? y : NULL;
	if (embedding != NULL)
	{
		embedding->y = y;
		embedding->codes = codes;
		embedding->weight = weight;
	}

	const float *value = sl_value(tape, weight);

	for (int i = 0; i < rows; i++)
		memcpy(y->data + (size_t) i * dim, value + (size_t) codes[i] * dim,
			   (size_t) dim * sizeof(float));
	return y;
}

/* ---- concat: y[i] = parts[0][i], parts[1][i], ... ---- */

typedef struct Concat
{
	SlOp op;
	SlTensor *y;
	int count;
	SlTensor *part[];
} Concat;

static void
concat_backward(SlTape *tape, SlOp *op)
{
	Concat *concat = (Concat *) op;
	SlTensor *y = concat->y;
	int column = 0;

	for (int p = 0; p < concat->count; p++)
	{
		SlTensor *part = concat->part[p];

		if (part->grad != NULL)
			for (int i = 0; i < y->rows; i++)
				sl_add_row(1, part->cols, y->grad + (size_t) i * y->cols + column,
						   part->grad + (size_t) i * part->cols, 0);
		column += part->cols;
	}
}

SlTensor *
sl_concat(SlTape *tape, SlTensor *const *parts, int count)
{
	if (tape->status != SL_OK)
		return NULL;

	int cols = 0;
	bool want_grad = false;
	bool fits = count > 0;

	for (int p = 0; fits && p < count; p++)
	{
		fits = parts[p]->rows == parts[0]->rows &&
			   !__builtin_add_overflow(cols, parts[p]->cols, &cols);
		want_grad |= parts[p]->grad != NULL;
	}
	if (!fits)
	{
		sl_fail(tape, SL_BAD_SHAPE);
		return NULL;
	}

	SlTensor *y = sl_tensor_new(tape, parts[0]->rows, cols, want_grad);
	size_t size = sizeof(Concat) + (size_t) count * sizeof(SlTensor *);
	Concat *concat = tape->grad != NULL ? sl_tape_op(tape, size, concat_backward) : NULL;

	if (tape->status != SL_OK || sl_counting(tape))
		return tape->status == SL_OK ? y : NULL;
	if (concat != NULL)
	{
		concat->y = y;
		concat->count = count;
		memcpy(concat->part, parts, (size_t) count * sizeof(SlTensor *));
	}

	int column = 0;

	for (int p = 0; p < count; p++)
	{
		int width = parts[p]->cols;

		for (int i = 0; i < y->rows; i++)
			memcpy(y->data + (size_t) i * cols + column,
				   parts[p]->data + (size_t) i * width, (size_t) width * sizeof(float));
		column += width;
	}
	return y;
}

/* ---- gather: y[i] = x[from[i]], or a row from elsewhere ---- */

typedef struct Gather
{
	SlOp op;
	SlTensor *x;
	SlTensor *y;
	const int *from;
} Gather;

/* dx[from[i]] += dy[i], in the order of rows. */
static void
gather_backward(SlTape *tape, SlOp *op)
{
	Gather *gather = (Gather *) op;
	SlTensor *y = gather->y;

	if (gather->x->grad == NULL)
		return;
	for (int i = 0; i < y->rows; i++)
		if (gather->from[i] >= 0)
			sl_add_row(1, y->cols, y->grad + (size_t) i * y->cols,
					   gather->x->grad + (size_t) gather->from[i] * y->cols, 0);
}

SlTensor *
sl_gather(SlTape *tape, SlTensor *x, const int *from, int rows, const float *other,
		  size_t stride)
{
	if (tape->status != SL_OK)
		return NULL;

	SlTensor *y = sl_tensor_new(tape, rows, x->cols, x->grad != NULL);
	Gather *gather =
		tape->grad != NULL ? sl_tape_op(tape, sizeof(Gather), gather_backward) : NULL;
	size_t bytes = (size_t) x->cols * sizeof(float);

	if (tape->status != SL_OK || sl_counting(tape))
		return tape->status == SL_OK ? y : NULL;
	if (gather != NULL)
	{
		gather->x = x;
		gather->y = y;
		gather->from = from;
	}
	for (int i = 0; i < rows; i++)
	{
		float *to = y->data + (size_t) i * x->cols;

		if (from[i] >= 0)
			memcpy(to, x->data + (size_t) from[i] * x->cols, bytes);
		else if (other != NULL)
			memcpy(to, other + (size_t) (-1 - from[i]) * stride, bytes);
		else
			memset(to, 0, bytes);
	}
	return y;
}

/* ---- relu: y = max(x, 0) ---- */

typedef struct Relu
{
	SlOp op;
	SlTensor *x;
	SlTensor *y;
} Relu;

static void
relu_backward(SlTape *tape, SlOp *op)
{
	Relu *relu = (Relu *) op;
	size_t n = (size_t) relu->y->rows * relu->y->cols;
	const float *y = relu->y->data;
	const float *dy = relu->y->grad;
	float *dx = relu->x->grad;

	for (size_t i = 0; dx != NULL && i < n; i++)
		dx[i] += y[i] > 0 ? dy[i] : 0.0f;
}

SlTensor *
sl_relu(SlTape *tape, SlTensor *x)
{
	if (tape->status != SL_OK)
		return NULL;

	SlTensor *y = sl_tensor_new(tape, x->rows, x->cols, x->grad != NULL);
	Relu *relu =
		tape->grad != NULL ? sl_tape_op(tape, sizeof(Relu), relu_backward) : NULL;

	if (tape->status != SL_OK || sl_counting(tape))
		return tape->status == SL_OK ? y : NULL;
	if (relu != NULL)
	{
		relu->x = x;
		relu->y = y;
	}
	for (size_t i = 0, n = (size_t) x->rows * x->cols; i < n; i++)
		y->data[i] = x->data[i] < 0 ? 0.0f : x->data[i]; /* NaN stays NaN */
	return y;
}

/* ---- dropout: y = x * mask ---- */

typedef struct Dropout
{
	SlOp op;
	SlTensor *x;
	SlTensor *y;
	float *mask;
} Dropout;

SL_CLONES static void
mask_from_halves(int count, const uint16_t *half, int drop, float scale, float *mask)
{
	for (int i = 0; i < count; i++)
		mask[i] = half[i] < drop ? 0.0f : scale;
}

/* Two decisions from each random word; the scale makes up for the rounding of p. */
void
sl_dropout_mask(const SlTape *tape, float p, uint64_t key, uint32_t salt, int cols,
				float *mask)
{
	uint64_t row_seed = sl_random_bits(tape->seed, tape->epoch, key);
	int drop = (int) (p * 65536.0f + 0.5f);
	float scale = drop < 65536 ? 65536.0f / (float) (65536 - drop) : 0.0f;
	uint32_t word[128];
	uint16_t half[256];

	for (int start = 0; start < cols; start += 256)
	{
		int count = cols - start < 256 ? cols - start : 256;

		sl_random_words(row_seed, salt, (uint64_t) start / 8, word, (count + 1) / 2);
		memcpy(half, word, count * sizeof(uint16_t));
		mask_from_halves(count, half, drop, scale, mask + start);
	}
}

static void
dropout_backward(SlTape *tape, SlOp *op)
{
	Dropout *dropout = (Dropout *) op;
	SlTensor *y = dropout->y;

	if (dropout->x->grad != NULL)
		sl_multiply_add((size_t) y->rows * y->cols, y->grad, dropout->mask,
						dropout->x->grad);
}

SlTensor *
sl_dropout(SlTape *tape, SlTensor *x, float p, const uint64_t *row_key, uint32_t salt)
{
	if (tape->status != SL_OK || !tape->dropout || p <= 0)
		return tape->status == SL_OK ? x : NULL;

	SlTensor *y = sl_tensor(tape, x->rows, x->cols);
	float *mask = sl_tape_floats(tape, x->rows, x->cols);
	Dropout *dropout =
		tape->grad != NULL ? sl_tape_op(tape, sizeof(Dropout), dropout_backward) : NULL;

	if (tape->status != SL_OK || sl_counting(tape))
		return tape->status == SL_OK ? y : NULL;
	if (dropout != NULL)
	{
		dropout->x = x;
		dropout->y = y;
		dropout->mask = mask;
	}
	for (int i = 0; i < x->rows; i++)
		sl_dropout_mask(tape, p, row_key[i], salt, x->cols, mask + (size_t) i * x->cols);
	sl_multiply((size_t) x->rows * x->cols, x->data, mask, y->data);
	return y;
}
