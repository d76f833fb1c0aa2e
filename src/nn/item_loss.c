/*
 * item_loss.c: losses over items; see item_loss.h.
 *
 * Rows that count are gathered in blocks, so that a block's scores stay in the cache or
 * near it, and products are large whatever the rows between do.
 *
 * Exact: a block of rows meets blocks of items twice, once for the logarithm of the sum
 * and once for the gradient; the scores of a single block of items are kept in between.
 * The head's gradient then has all rows, in the order of items, and products add to it
 * where it lies.
 *
 * Drawn: the negatives' rows of the head are gathered once and their gradient is
 * scattered once.  A row's own item is a dot product, and so is its gradient's.
 */
#include "nn/item_loss.h"

#include <math.h>
#include <string.h>

#include "nn/cpu.h"
#include "nn/kernel.h"
#include "nn/tape.h"

#define BLOCK_ROWS 256
#define BLOCK_ITEMS 16384 /* exact: scores take 16 MB */
#define LANES 16

/* A call's arguments, and a block of rows. */
typedef struct Work
{
	const SlItemLoss *loss;
	SlTape *tape;
	const SlItemTarget *target;
	SlTensor *h;
	float scale;
	int items;
	int cols;
	bool trains;
	const float *weight;		  /* W */
	const float *bias;			  /* b */
	SlTableGradient *weight_grad; /* training */
	SlTableGradient *bias_grad;

	int rows;	  /* in the block */
	int *row;	  /* of h */
	float *x;	  /* [rows x cols], gathered h */
	float *dx;	  /* its gradient */
	float *score; /* [rows x width], and their gradient */
	int width;

	/* exact */
	double *log_sum;  /* [rows] */
	float *own_score; /* [rows] */

	/* drawn */
	int32_t *negative; /* [width] */
	float *shift;	   /* [width], added to scores: biases, and corrections */
	float *w;		   /* [width x cols] */
	float *dw;
	float *db;	  /* [width] */
	float *slope; /* [width], of one row */
} Work;

/* ---- rows ---- */

/* The next rows that count, from *at on. */
static bool
gather(Work *work, int *at)
{
	const SlItemTarget *target = work->target;
	size_t cols = work->cols;

	work->rows = 0;
	for (; *at < work->h->rows && work->rows < BLOCK_ROWS; ++*at)
	{
		if (target->item[*at] < 0 || (target->weight != NULL && target->weight[*at] == 0))
			continue;
		if (target->item[*at] >= work->items)
		{
			sl_fail(work->tape, SL_BAD_SHAPE);
			return false;
		}
		memcpy(work->x + work->rows * cols, work->h->data + *at * cols,
			   sizeof(float) * cols);
		work->row[work->rows++] = *at;
	}
	return work->rows > 0 && sl_go_on(work->tape);
}

static void
scatter(const Work *work)
{
	size_t cols = work->cols;

	for (int i = 0; i < work->rows; i++)
		memcpy(work->h->grad + work->row[i] * cols, work->dx + i * cols,
			   sizeof(float) * cols);
}

static int
item_of(const Work *work, int i)
{
	return work->target->item[work->row[i]];
}

static double
weight_of(const Work *work, int i)
{
	return work->target->weight != NULL ? work->target->weight[work->row[i]] : 1;
}

/* ---- cross-entropy over all items ---- */

/* Scores of items first .. first + count - 1 in the block's rows. */
static bool
exact_scores(Work *work, int first, int count)
{
	if (!sl_tape_gemm(work->tape, false, true, work->rows, count, work->cols, work->x,
					  work->cols, work->weight + (size_t) first * work->cols, work->cols,
					  0, work->score, count))
		return false;
	sl_add_row(work->rows, count, work->bias + first, work->score, count);
	return true;
}

static double
log_add(double a, double b)
{
	double high = fmax(a, b), low = fmin(a, b);

	return isinf(low) ? high : high + log1p(exp(low - high));
}

/* Adds items to the logarithms of sums, and picks the rows' own scores. */
static void
exact_sums(Work *work, int first, int count)
{
	for (int i = 0; i < work->rows; i++)
	{
		const float *score = work->score + (size_t) i * count;
		int own = item_of(work, i) - first;
		double sum = sl_log_sum_exp(score, count);

		work->log_sum[i] = first == 0 ? sum : log_add(work->log_sum[i], sum);
		if (own >= 0 && own < count)
			work->own_score[i] = score[own];
	}
}

/* Scores become gradients, which go to the rows and to the head. */
static bool
exact_gradient(Work *work, int first, int count)
{
	float *dw = work->weight_grad->data + (size_t) first * work->cols;

	for (int i = 0; i < work->rows; i++)
	{
		float *score = work->score + (size_t) i * count;
		float factor = (float) (work->scale * weight_of(work, i));
		int own = item_of(work, i) - first;

		sl_exp_scaled(score, count, (float) work->log_sum[i], factor);
		if (own >= 0 && own < count)
			score[own] -= factor;
	}
	sl_column_sums(work->rows, count, work->score, count, work->bias_grad->data + first);
	return sl_tape_gemm(work->tape, false, false, work->rows, work->cols, count,
						work->score, count, work->weight + (size_t) first * work->cols,
						work->cols, first == 0 ? 0 : 1, work->dx, work->cols) &&
		   sl_tape_gemm(work->tape, true, false, count, work->cols, work->rows,
						work->score, count, work->x, work->cols, 1, dw, work->cols);
}

static double
exact_block(Work *work)
{
	int step = work->width;
	double sum = 0;

	for (int first = 0; first < work->items; first += step)
	{
		int count = work->items - first < step ? work->items - first : step;

		if (!exact_scores(work, first, count))
			return 0;
		exact_sums(work, first, count);
	}
	for (int i = 0; i < work->rows; i++)
		sum += weight_of(work, i) * (work->log_sum[i] - work->own_score[i]);
	for (int first = 0; work->trains && first < work->items; first += step)
	{
		int count = work->items - first < step ? work->items - first : step;

		if ((work->items > step && !exact_scores(work, first, count)) ||
			!exact_gradient(work, first, count))
			return 0;
	}
	return sum;
}

static void
exact_lay_out(Work *work)
{
	work->width = work->items < BLOCK_ITEMS ? work->items : BLOCK_ITEMS;
	work->log_sum = sl_tape_alloc(work->tape, BLOCK_ROWS, sizeof(double));
	work->own_score = sl_tape_floats(work->tape, BLOCK_ROWS, 1);
	if (work->trains)
	{
		sl_table_expect(work->weight_grad, work->items);
		sl_table_expect(work->bias_grad, work->items);
	}
}

static void
exact_start(Work *work)
{
	if (work->trains &&
		(!sl_table_touch_all(work->weight_grad) || !sl_table_touch_all(work->bias_grad)))
		sl_fail(work->tape, SL_NO_MEMORY);
}

/* ---- drawn negatives ---- */

SL_CLONES static float
dot(int n, const float *x, const float *y)
{
	float lane[LANES] = {0}, sum = 0;
	int i = 0;

	for (; i + LANES <= n; i += LANES)
		for (int l = 0; l < LANES; l++)
			lane[l] += x[i + l] * y[i + l];
	for (; i < n; i++)
		sum += x[i] * y[i];
	for (int l = 0; l < LANES; l++)
		sum += lane[l];
	return sum;
}

SL_CLONES static void
add_times(int n, float factor, const float *x, float *y)
{
	for (int i = 0; i < n; i++)
		y[i] += factor * x[i];
}

/* What one row's scores r of negatives and own of its item come to, before its weight;
 * r becomes the loss's gradient, and so does *own. */
typedef double (*RowLoss)(const Work *work, int n, float *r, float *own);

static double
softmax_row(const Work *work, int n, float *r, float *own)
{
	double all = log_add(sl_log_sum_exp(r, n), *own), loss = all - *own;

	sl_exp_scaled(r, n, (float) all, 1);
	*own = (float) expm1(*own - all);
	return loss;
}

/* s = softmax of r, into slope.  Without negatives there is nothing to learn: false, and
 * no gradient. */
static bool
negatives_softmax(const Work *work, int n, float *r)
{
	double all = sl_log_sum_exp(r, n);

	if (all == -INFINITY)
	{
		memset(r, 0, sizeof(float) * n);
		return false;
	}
	memcpy(work->slope, r, sizeof(float) * n);
	sl_exp_scaled(work->slope, n, (float) all, 1);
	return true;
}

/* A sum of sigmoids below this has no logarithm to speak of. */
#define TINY 1e-37

/*
 * With g_j = sigmoid(own - r_j), A = sum s_j g_j and R = sum s_j r_j^2: loss -log A +
 * regularization R, dA/dr_j = s_j (g_j - A - g_j (1 - g_j)), dA/down = sum s_j g_j (1 -
 * g_j), dR/dr_j = s_j (r_j^2 - R + 2 r_j).
 */
static double
bpr_max_row(const Work *work, int n, float *r, float *own)
{
	const float *s = work->slope;
	float *g = work->slope + n;
	float lambda = work->loss->regularization;
	double a = 0, square = 0, turn = 0;

	if (!negatives_softmax(work, n, r))
		return *own = 0;
	for (int j = 0; j < n; j++)
		g[j] = *own - r[j];
	sl_sigmoid(n, g, g);
	for (int j = 0; j < n; j++)
		if (s[j] > 0)
		{
			a += (double) s[j] * g[j];
			turn += (double) s[j] * g[j] * (1 - g[j]);
			square += (double) s[j] * r[j] * r[j];
		}
	a = fmax(a, TINY);
	for (int j = 0; j < n; j++)
		r[j] = s[j] == 0 ? 0
						 : s[j] * (float) ((a - g[j] * g[j]) / a +
										   lambda * (r[j] * r[j] - square + 2 * r[j]));
	*own = (float) (-turn / a);
	return -log(a) + lambda * square;
}

/*
 * With u_j = sigmoid(r_j - own), v_j = sigmoid(r_j^2) and L = sum s_j (u_j + v_j):
 * dL/dr_j = s_j (u_j + v_j - L + u_j (1 - u_j) + 2 r_j v_j (1 - v_j)), dL/down = -sum s_j
 * u_j (1 - u_j).
 */
static double
top1_max_row(const Work *work, int n, float *r, float *own)
{
	const float *s = work->slope;
	float *u = work->slope + n, *v = work->slope + 2 * (size_t) n;
	double loss = 0, turn = 0;

	if (!negatives_softmax(work, n, r))
		return *own = 0;
	for (int j = 0; j < n; j++)
	{
		u[j] = r[j] - *own;
		v[j] = r[j] * r[j];
	}
	sl_sigmoid(n, u, u);
	sl_sigmoid(n, v, v);
	for (int j = 0; j < n; j++)
	{
		loss += (double) s[j] * (u[j] + v[j]);
		turn += (double) s[j] * u[j] * (1 - u[j]);
	}
	for (int j = 0; j < n; j++)
		r[j] = s[j] == 0 ? 0
						 : s[j] * (float) (u[j] + v[j] - loss + u[j] * (1 - u[j]) +
										   2 * r[j] * v[j] * (1 - v[j]));
	*own = (float) -turn;
	return loss;
}

static RowLoss
row_loss(SlLossKind kind)
{
	return kind == SL_LOSS_SAMPLED_SOFTMAX ? softmax_row
		   : kind == SL_LOSS_BPR_MAX	   ? bpr_max_row
										   : top1_max_row;
}

/* A row's own item: the gradient of its score goes to the item and to the row. */
static bool
own_gradient(Work *work, int i, float slope)
{
	int item = item_of(work, i);
	float *dw = sl_table_touch(work->weight_grad, item);
	float *db = sl_table_touch(work->bias_grad, item);

	if (dw == NULL || db == NULL)
	{
		sl_fail(work->tape, SL_NO_MEMORY);
		return false;
	}
	add_times(work->cols, slope, work->x + (size_t) i * work->cols, dw);
	*db += slope;
	add_times(work->cols, slope, work->weight + (size_t) item * work->cols,
			  work->dx + (size_t) i * work->cols);
	return true;
}

/* A row's loss; its scores and *own become gradients, times the row's weight. */
static double
drawn_row(Work *work, int i, float *own)
{
	int n = work->width, item = item_of(work, i);
	float *r = work->score + (size_t) i * n;
	float factor = (float) (work->scale * weight_of(work, i));
	double loss;

	*own = work->bias[item] + dot(work->cols, work->x + (size_t) i * work->cols,
								  work->weight + (size_t) item * work->cols);
	for (int j = 0; j < n; j++)
		if (work->negative[j] == item)
			r[j] = -INFINITY;
	loss = row_loss(work->loss->kind)(work, n, r, own);
	*own *= factor;
	for (int j = 0; j < n; j++)
		r[j] *= factor;
	return weight_of(work, i) * loss;
}

static double
drawn_block(Work *work)
{
	int n = work->width, cols = work->cols;
	float own[BLOCK_ROWS];
	double sum = 0;

	if (!sl_tape_gemm(work->tape, false, true, work->rows, n, cols, work->x, cols,
					  work->w, cols, 0, work->score, n))
		return 0;
	sl_add_row(work->rows, n, work->shift, work->score, n);
	for (int i = 0; i < work->rows; i++)
		sum += drawn_row(work, i, &own[i]);
	if (!work->trains)
		return sum;
	sl_column_sums(work->rows, n, work->score, n, work->db);
	if (!sl_tape_gemm(work->tape, false, false, work->rows, cols, n, work->score, n,
					  work->w, cols, 0, work->dx, cols) ||
		!sl_tape_gemm(work->tape, true, false, n, cols, work->rows, work->score, n,
					  work->x, cols, 1, work->dw, cols))
		return 0;
	for (int i = 0; i < work->rows; i++)
		if (!own_gradient(work, i, own[i]))
			break;
	return sum;
}

static void
drawn_lay_out(Work *work)
{
	SlTape *tape = work->tape;
	int n = work->loss->negatives;

	work->width = n;
	work->negative = sl_tape_alloc(tape, n, sizeof(int32_t));
	work->shift = sl_tape_floats(tape, n, 1);
	work->w = sl_tape_floats(tape, n, work->cols);
	work->slope = sl_tape_floats(tape, n, 3);
	if (!work->trains)
		return;
	work->dw = sl_tape_floats(tape, n, work->cols);
	work->db = sl_tape_floats(tape, n, 1);
	sl_table_expect(work->weight_grad, (size_t) n + work->h->rows);
	sl_table_expect(work->bias_grad, (size_t) n + work->h->rows);
}

static void
drawn_start(Work *work)
{
	const SlSampler *sampler = work->loss->sampler;
	size_t n = work->width, cols = work->cols;

	if (work->loss->given != NULL)
		memcpy(work->negative, work->loss->given, sizeof(int32_t) * n);
	else
		sl_sampler_draw(sampler, work->target->key, work->width, work->negative);
	for (size_t j = 0; j < n; j++)
	{
		int item = work->negative[j];

		memcpy(work->w + j * cols, work->weight + item * cols, sizeof(float) * cols);
		work->shift[j] = work->bias[item];
		if (work->loss->kind == SL_LOSS_SAMPLED_SOFTMAX)
			work->shift[j] -= (float) log((double) n) + sampler->log_q[item];
	}
	if (work->trains)
	{
		memset(work->dw, 0, sizeof(float) * n * cols);
		memset(work->db, 0, sizeof(float) * n);
	}
}

static void
drawn_finish(Work *work)
{
	for (int j = 0; work->trains && j < work->width; j++)
	{
		float *dw = sl_table_touch(work->weight_grad, work->negative[j]);
		float *db = sl_table_touch(work->bias_grad, work->negative[j]);

		if (dw == NULL || db == NULL)
		{
			sl_fail(work->tape, SL_NO_MEMORY);
			return;
		}
		sl_add_row(1, work->cols, work->dw + (size_t) j * work->cols, dw, 0);
		*db += work->db[j];
	}
}

/* ---- the loss ---- */

static bool
fits(const SlItemLoss *loss, const SlTape *tape, const SlTensor *h,
	 const SlItemTarget *target)
{
	const SlParam *weight = sl_shape(tape, target->weight_param);
	const SlParam *bias = sl_shape(tape, target->bias_param);

	return h->cols == weight->cols && bias->rows == weight->rows &&
		   weight->update == SL_UPDATE_ROWS && bias->update == SL_UPDATE_ROWS &&
		   (loss->kind == SL_LOSS_CROSS_ENTROPY || loss->negatives > 0) &&
		   (loss->sampler == NULL || loss->sampler->items == weight->rows);
}

static void
lay_out(Work *work)
{
	SlTape *tape = work->tape;

	if (work->loss->kind == SL_LOSS_CROSS_ENTROPY)
		exact_lay_out(work);
	else
		drawn_lay_out(work);
	work->row = sl_tape_alloc(tape, BLOCK_ROWS, sizeof(int));
	work->x = sl_tape_floats(tape, BLOCK_ROWS, work->cols);
	work->score = sl_tape_floats(tape, BLOCK_ROWS, work->width);
	if (work->trains)
		work->dx = sl_tape_floats(tape, BLOCK_ROWS, work->cols);
}

double
sl_item_loss(const SlItemLoss *loss, SlTape *tape, SlTensor *h,
			 const SlItemTarget *target, float scale)
{
	Work work = {.loss = loss, .tape = tape, .target = target, .h = h, .scale = scale};
	bool exact = loss->kind == SL_LOSS_CROSS_ENTROPY;
	double sum = 0;

	if (tape->status == SL_OK && !fits(loss, tape, h, target))
		sl_fail(tape, SL_BAD_SHAPE);
	if (tape->status != SL_OK)
		return 0;
	work.items = sl_shape(tape, target->weight_param)->rows;
	work.cols = h->cols;
	work.trains = tape->grad != NULL;
	if (work.trains)
	{
		work.weight_grad = sl_grad_table(tape, target->weight_param);
		work.bias_grad = sl_grad_table(tape, target->bias_param);
	}
	lay_out(&work);
	if (tape->status != SL_OK || sl_counting(tape))
		return 0;
	work.weight = sl_value(tape, target->weight_param);
	work.bias = sl_value(tape, target->bias_param);
	if (h->grad != NULL)
		memset(h->grad, 0, sizeof(float) * h->rows * h->cols);
	if (exact)
		exact_start(&work);
	else
		drawn_start(&work);
	for (int at = 0; tape->status == SL_OK && gather(&work, &at);)
	{
		sum += exact ? exact_block(&work) : drawn_block(&work);
		if (h->grad != NULL && work.trains)
			scatter(&work);
	}
	if (!exact && tape->status == SL_OK)
		drawn_finish(&work);
	return sum;
}
