/*
 * init.c: a network's first weights, as Keras or as PyTorch would draw them.
 *
 * Keras (initializers.GlorotUniform, Orthogonal; layers.LSTM, GRU, Dense, Embedding):
 * a kernel is one matrix for all gates, [in x gates * hidden], so Glorot's limit
 * sqrt(6 / (fan_in + fan_out)) counts the outputs of all gates, and the recurrent kernel,
 * [hidden x gates * hidden], is orthogonal as a whole.  Ours are those matrices
 * transposed.  Biases are 0, but 1 for an LSTM's forget gate (unit_forget_bias).  Keras
 * has one bias and PyTorch's layout two, which are added: only bias_ih gets the 1.
 *
 * PyTorch (nn.RNNBase, nn.Linear, nn.Embedding): uniform within 1 / sqrt(hidden) in
 * recurrent layers and within 1 / sqrt(fan_in) in linear ones, biases included;
 * embeddings are standard normal.
 *
 * A parameter's random stream is a hash of its name: adding a layer or a column changes
 * no other parameter's start.
 */
#include "nn/nn.h"

#include <math.h>
#include <string.h>

#include "nn/blas.h"
#include "nn/random.h"

typedef void (*Qr)(const int *m, const int *n, float *a, const int *lda, float *tau,
				   float *work, const int *lwork, int *info);
typedef void (*FormQ)(const int *m, const int *n, const int *k, float *a, const int *lda,
					  const float *tau, float *work, const int *lwork, int *info);

/* Scratch for the largest recurrent matrix. */
typedef struct Scratch
{
	float *matrix;
	float *sign;
	float *tau;
	float *work;
	int work_size;
} Scratch;

/* LAPACK's block size is at most 64. */
#define LAPACK_BLOCK 64

/* FNV-1a. */
static uint64_t
hash_name(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *name; name++)
		hash = (hash ^ (unsigned char) *name) * 0x100000001b3;
	return hash;
}

static size_t
param_size(const SlParam *param)
{
	return (size_t) param->rows * (param->cols > 0 ? param->cols : 1);
}

static void
fill_uniform(uint64_t seed, const SlParam *param, double limit, float *value)
{
	uint64_t stream = hash_name(param->name);

	for (size_t i = 0; i < param_size(param); i++)
		value[i] = (float) (limit * (2 * sl_random_uniform(seed, stream, i) - 1));
}

static void
fill_normal(uint64_t seed, const SlParam *param, float *value)
{
	uint64_t stream = hash_name(param->name);

	for (size_t i = 0; i < param_size(param); i++)
		value[i] = (float) sl_random_normal(seed, stream, i);
}

/*
 * The Q of a normal matrix's QR decomposition, its columns' signs those of R's diagonal:
 * that makes it uniform over all orthogonal matrices (Mezzadri 2007).  LAPACK's matrices
 * are column-major: the tall one, [long x short], is decomposed and read as the weight
 * itself or, if that is wide, as its transpose.
 */
static SlStatus
fill_orthogonal(uint64_t seed, const SlParam *param, Scratch *scratch, float *value)
{
	Qr qr = (Qr) sl_lapack("sgeqrf_");
	FormQ form_q = (FormQ) sl_lapack("sorgqr_");
	int rows = param->rows, cols = param->cols;
	int m = rows > cols ? rows : cols, n = rows > cols ? cols : rows, info;
	float *a = scratch->matrix;

	if (qr == NULL || form_q == NULL)
		return SL_NO_BLAS;

	fill_normal(seed, param, a);
	qr(&m, &n, a, &m, scratch->tau, scratch->work, &scratch->work_size, &info);
	for (int j = 0; j < n; j++)
		scratch->sign[j] = a[(size_t) j * m + j] < 0 ? -1 : 1;
	form_q(&m, &n, &n, a, &m, scratch->tau, scratch->work, &scratch->work_size, &info);

	for (int j = 0; j < n; j++)
		for (int i = 0; i < m; i++)
		{
			size_t at = rows > cols ? (size_t) i * cols + j : (size_t) j * cols + i;

			value[at] = scratch->sign[j] * a[(size_t) j * m + i];
		}
	return SL_OK;
}

static SlStatus
fill_keras(uint64_t seed, const SlParam *param, Scratch *scratch, float *value)
{
	int quarter = param->rows / 4;

	switch (param->init)
	{
		case SL_INIT_RECURRENT:
			return fill_orthogonal(seed, param, scratch, value);
		case SL_INIT_EMBEDDING:
			fill_uniform(seed, param, 0.05, value);
			break;
		case SL_INIT_KERNEL:
			fill_uniform(seed, param, sqrt(6.0 / ((double) param->rows + param->cols)),
						 value);
			break;
		case SL_INIT_BIAS: /* zeros; gates are i, f, g, o */
			if (param->gates == 4 && strstr(param->name, "bias_ih") != NULL)
				for (int i = quarter; i < 2 * quarter; i++)
					value[i] = 1;
			break;
	}
	return SL_OK;
}

static SlStatus
fill_torch(uint64_t seed, const SlParam *param, float *value)
{
	if (param->init == SL_INIT_EMBEDDING)
		fill_normal(seed, param, value);
	else if (param->fan_in <= 0)
		return SL_BAD_SHAPE;
	else
		fill_uniform(seed, param, 1 / sqrt(param->fan_in), value);
	return SL_OK;
}

/* Takes from work what the largest recurrent matrix needs. */
static SlStatus
scratch_alloc(const SlParams *params, SlArena *work, Scratch *scratch)
{
	size_t largest = 0;
	int longest = 0;

	for (int i = 0; i < params->count; i++)
	{
		const SlParam *param = &params->item[i];

		if (param->init != SL_INIT_RECURRENT)
			continue;
		if (param->cols <= 0 || param->cols > INT32_MAX / LAPACK_BLOCK)
			return SL_BAD_SHAPE;
		largest = param_size(param) > largest ? param_size(param) : largest;
		longest = param->cols > longest ? param->cols : longest;
	}
	if (largest == 0)
		return SL_OK;

	scratch->work_size = longest * LAPACK_BLOCK;
	scratch->matrix = sl_alloc(work, largest, sizeof(float));
	scratch->sign = sl_alloc(work, longest, sizeof(float));
	scratch->tau = sl_alloc(work, longest, sizeof(float));
	scratch->work = sl_alloc(work, scratch->work_size, sizeof(float));
	return work->used == SIZE_MAX ? SL_NO_MEMORY : SL_OK;
}

SlStatus
sl_params_init(const SlParams *params, SlInitStyle style, uint64_t seed, float *value,
			   SlArena *work)
{
	Scratch scratch = {0};
	size_t before = work->used;
	SlStatus status = params->overflow ? SL_BAD_SHAPE : SL_OK;

	if (status == SL_OK && style == SL_STYLE_KERAS)
		status = scratch_alloc(params, work, &scratch);
	/* counting; what needs no scratch is filled without any */
	if (status != SL_OK || value == NULL || (work->base == NULL && work->used != before))
		return status;

	memset(value, 0, params->total * sizeof(float));
	for (int i = 0; i < params->count && status == SL_OK; i++)
	{
		const SlParam *param = &params->item[i];

		if (param->update == SL_UPDATE_NONE)
			continue;
		status = style == SL_STYLE_KERAS
					 ? fill_keras(seed, param, &scratch, value + param->offset)
					 : fill_torch(seed, param, value + param->offset);
	}
	work->used = before;
	return status;
}
