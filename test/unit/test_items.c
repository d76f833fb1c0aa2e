/*
 * test_items.c: losses over items against PyTorch and central differences, the sampler's
 * probabilities, what sampled softmax estimates, and ranks and best items against plain
 * loops.
 */
#include <math.h>

#include "nn/item_loss.h"
#include "nn/item_rank.h"
#include "nn/random.h"

#include "fixture.h"
#include "flat.h"
#include "pack.h"
#include "tap.h"

#define COLS 6

static const SlLossKind kinds[] = {SL_LOSS_CROSS_ENTROPY, SL_LOSS_SAMPLED_SOFTMAX,
								   SL_LOSS_BPR_MAX, SL_LOSS_TOP1_MAX};

/* A head and rows for it. */
typedef struct Head
{
	int rows, items;
	SlParams params;
	Flat flat;
	float *value, *h, *dh, *row_weight;
	int32_t *item;
	SlSampler sampler;
	char *sampler_memory;
	SlItemLoss loss;
	uint64_t key;
	SlArena arena;
	SlStatus status;
} Head;

static void
head_open(Head *c, SlLossKind kind, int rows, int items, int negatives)
{
	SlArena arena = {.size = SIZE_MAX};

	*c = (Head){.rows = rows,
				.items = items,
				.loss = {.kind = kind, .negatives = negatives, .regularization = 0.5f}};
	sl_param_add_table(&c->params, "head.weight", items, COLS, SL_INIT_KERNEL, COLS,
					   SL_UPDATE_ROWS);
	sl_param_add_table(&c->params, "head.bias", items, 0, SL_INIT_BIAS, COLS,
					   SL_UPDATE_ROWS);
	flat_open(&c->flat, &c->params);
	c->value = calloc(c->params.total, sizeof(float));
	c->h = calloc(rows * COLS, sizeof(float));
	c->dh = calloc(rows * COLS, sizeof(float));
	c->row_weight = calloc(rows, sizeof(float));
	c->item = calloc(rows, sizeof(int32_t));
	sl_sampler_lay_out(&c->sampler, items, &arena);
	arena = pack_arena(&arena);
	sl_sampler_lay_out(&c->sampler, items, &arena);
	c->sampler_memory = arena.base;
	c->loss.sampler = &c->sampler;
}

static void
head_close(Head *c)
{
	flat_close(&c->flat);
	free(c->value);
	free(c->h);
	free(c->dh);
	free(c->row_weight);
	free(c->item);
	free(c->sampler_memory);
	free(c->arena.base);
}

static double
head_loss(Head *c, bool train, float scale)
{
	SlItemTarget target = {c->item, c->row_weight, 0, 1, c->key};
	SlArena counting = {0};
	SlTape tape = {.arena = &counting,
				   .params = &c->params,
				   .value = c->value,
				   .grad = train ? &c->flat.gradient : NULL};
	SlTensor h = {.rows = c->rows, .cols = COLS};
	double loss;

	sl_item_loss(&c->loss, &tape, &h, &target, scale);
	free(c->arena.base);
	c->arena = pack_arena(&counting);
	tape.arena = &c->arena;
	h.data = c->h;
	h.grad = train ? c->dh : NULL;
	sl_gradient_clear(&c->flat.gradient);
	loss = sl_item_loss(&c->loss, &tape, &h, &target, scale);
	flat_read(&c->flat);
	c->status = tape.status;
	return c->status == SL_OK && c->arena.used == counting.used ? loss : NAN;
}

/* ---- PyTorch ---- */

static const float *
get(const Fixture *fixture, const char *prefix, const char *name)
{
	char full[100];
	size_t count;

	snprintf(full, sizeof(full), "%s%s%s", prefix, prefix[0] ? "." : "", name);
	return fixture_get(fixture, full, &count);
}

static void
test_parity(void)
{
	Fixture fixture = fixture_read("items.txt");

	for (int k = 0; k < 4; k++)
	{
		const char *name = sl_loss_name(kinds[k]);
		int32_t negative[17];
		int64_t count[30];
		Head c;

		head_open(&c, kinds[k], 13, 30, 17);

		size_t bias = c.params.item[1].offset;

		memcpy(c.h, get(&fixture, "", "h"), sizeof(float) * 13 * COLS);
		memcpy(c.value, get(&fixture, "", "weight"), sizeof(float) * 30 * COLS);
		memcpy(c.value + bias, get(&fixture, "", "bias"), sizeof(float) * 30);
		memcpy(c.row_weight, get(&fixture, "", "row_weight"), sizeof(float) * 13);
		for (int i = 0; i < 13; i++)
			c.item[i] = (int32_t) get(&fixture, "", "item")[i];
		for (int j = 0; j < 17; j++)
			negative[j] = (int32_t) get(&fixture, "", "negative")[j];
		c.loss.given = negative;
		for (int i = 0; i < 30; i++)
			count[i] = (int64_t) get(&fixture, "", "count")[i];
		sl_sampler_start(&c.sampler, count, 0.75);
		is_tensor(c.sampler.log_q, get(&fixture, "", "log_q"), 30, 1e-6,
				  "%s: probabilities of negatives", name);

		double want = get(&fixture, name, "loss")[0];

		is_close(head_loss(&c, true, 1), want, 1e-6 * want, "%s: loss", name);
		is_tensor(c.dh, get(&fixture, name, "dh"), 13 * COLS, 1e-4,
				  "%s: gradient of hidden states", name);
		is_tensor(c.flat.grad, get(&fixture, name, "dweight"), 30 * COLS, 1e-4,
				  "%s: gradient of the head's weight", name);
		is_tensor(c.flat.grad + bias, get(&fixture, name, "dbias"), 30, 1e-4,
				  "%s: gradient of the head's bias", name);
		head_close(&c);
	}
	fixture_free(&fixture);
}

/* ---- central differences, over several blocks of rows and items ---- */

static void
fill(Head *c, uint64_t seed)
{
	int64_t *count = malloc(sizeof(int64_t) * c->items);

	for (size_t i = 0; i < c->params.total; i++)
		c->value[i] = 0.5f * pack_random(&seed);
	for (int i = 0; i < c->rows * COLS; i++)
		c->h[i] = 2 * pack_random(&seed);
	for (int i = 0; i < c->rows; i++)
	{
		c->item[i] =
			(int32_t) (sl_random_bits(seed, 1, i) % (unsigned) (c->items + 1)) - 1;
		c->row_weight[i] = i % 7 == 3 ? 0 : 1 + pack_random(&seed) / 2;
	}
	for (int i = 0; i < c->items; i++)
		count[i] = (int64_t) (sl_random_bits(seed, 2, i) % 100);
	sl_sampler_start(&c->sampler, count, 0.75);
	free(count);
	c->key = 99;
}

/* Along a random direction through all of x, against the gradient's projection on it. */
static void
check_direction(Head *c, float *x, const float *grad, size_t n, const char *what)
{
	const float step = 1e-2f;
	uint64_t seed = 17;
	float *keep = malloc(sizeof(float) * n), *way = pack_numbers(&seed, n, 1);
	double want = 0, size = 0;

	memcpy(keep, x, sizeof(float) * n);
	for (size_t i = 0; i < n; i++)
	{
		want += (double) way[i] * grad[i];
		size += (double) way[i] * way[i] * grad[i] * grad[i];
		x[i] = keep[i] + step * way[i];
	}

	double up = head_loss(c, false, 1);

	for (size_t i = 0; i < n; i++)
		x[i] = keep[i] - step * way[i];

	double down = head_loss(c, false, 1);

	memcpy(x, keep, sizeof(float) * n);
	is_close((up - down) / (2 * step), want, 2e-3 * (fabs(want) + sqrt(size)),
			 "%s, %d items: gradient of %s", sl_loss_name(c->loss.kind), c->items, what);
	free(keep);
	free(way);
}

static void
test_differences(SlLossKind kind, int items, int negatives)
{
	Head c;

	head_open(&c, kind, 600, items, negatives);
	fill(&c, 3);

	double loss = head_loss(&c, true, 1);
	float *dh = malloc(sizeof(float) * c.rows * COLS);
	float *grad = malloc(sizeof(float) * c.params.total);
	float zeros[COLS] = {0};

	is_close(head_loss(&c, false, 1), loss, 1e-9 * loss, "%s: the same without gradients",
			 sl_loss_name(kind));
	head_loss(&c, true, 1);
	memcpy(dh, c.dh, sizeof(float) * c.rows * COLS);
	memcpy(grad, c.flat.grad, sizeof(float) * c.params.total);
	check_direction(&c, c.h, dh, c.rows * COLS, "hidden states");
	check_direction(&c, c.value, grad, c.params.item[1].offset, "weights");
	check_direction(&c, c.value + c.params.item[1].offset, grad + c.params.item[1].offset,
					items, "biases");
	ok(memcmp(dh + 3 * COLS, zeros, sizeof(zeros)) == 0,
	   "nothing from a row of weight 0");
	head_loss(&c, true, 0.25f);

	bool quarter = true;

	for (int i = 0; i < c.rows * COLS; i++)
		quarter &= fabsf(4 * c.dh[i] - dh[i]) <= 1e-5f * (1 + fabsf(dh[i]));
	ok(quarter, "%s: gradients are scaled", sl_loss_name(kind));
	c.item[5] = items;
	c.row_weight[5] = 1;
	ok(isnan(head_loss(&c, true, 1)) && c.status == SL_BAD_SHAPE,
	   "%s: an item that there is not", sl_loss_name(kind));
	free(dh);
	free(grad);
	head_close(&c);
}

/* Scores far beyond what exp() holds, and rows whose negatives are all hits. */
static void
test_extremes(void)
{
	for (int k = 0; k < 4; k++)
	{
		bool finite = true;
		Head c;

		head_open(&c, kinds[k], 40, 9, 5);
		fill(&c, 4);
		for (int i = 0; i < c.rows * COLS; i++)
			c.h[i] *= 300;
		finite &= isfinite(head_loss(&c, true, 1));
		for (int i = 0; i < c.rows * COLS; i++)
			finite &= isfinite(c.dh[i]);
		for (size_t i = 0; i < c.params.total; i++)
			finite &= isfinite(c.flat.grad[i]);
		ok(finite, "%s: huge scores", sl_loss_name(kinds[k]));

		const int32_t all[5] = {4, 4, 4, 4, 4};

		for (int i = 0; i < c.rows; i++)
			c.item[i] = 4;
		c.loss.given = all;

		double loss = head_loss(&c, true, 1);

		ok(isfinite(loss) && (kinds[k] == SL_LOSS_CROSS_ENTROPY || loss == 0) &&
			   isfinite(c.dh[0]),
		   "%s: no negatives but hits (%g)", sl_loss_name(kinds[k]), loss);
		head_close(&c);
	}
}

/* ---- the sampler ---- */

static void
test_sampler(void)
{
	enum
	{
		ITEMS = 50,
		DRAWS = 200000
	};
	SlArena arena = {.size = SIZE_MAX};
	SlSampler sampler;
	int64_t count[ITEMS];
	int seen[ITEMS] = {0};
	int32_t *draw = malloc(sizeof(int32_t) * DRAWS), again[100];
	double sum = 0, chi = 0, total = 0;

	sl_sampler_lay_out(&sampler, ITEMS, &arena);
	arena = pack_arena(&arena);
	sl_sampler_lay_out(&sampler, ITEMS, &arena);
	for (int i = 0; i < ITEMS; i++)
	{
		count[i] = i < 3 ? 0 : (int64_t) i * i * i;
		sum += count[i] > 1 ? pow((double) count[i], 0.75) : 1;
	}
	sl_sampler_start(&sampler, count, 0.75);
	sl_sampler_draw(&sampler, 5, DRAWS, draw);
	sl_sampler_draw(&sampler, 5, 100, again);
	ok(memcmp(draw, again, sizeof(again)) == 0, "the same key, the same draws");
	for (int i = 0; i < DRAWS; i++)
		seen[draw[i]]++;
	for (int i = 0; i < ITEMS; i++)
	{
		double q = (count[i] > 1 ? pow((double) count[i], 0.75) : 1) / sum,
			   want = q * DRAWS;

		total += exp(sampler.log_q[i]);
		chi += (seen[i] - want) * (seen[i] - want) / want;
	}
	is_close(total, 1, 1e-5, "probabilities add up to 1");
	ok(chi < 94, "and are those of the draws (chi-squared %.0f of 49)", chi);
	sl_sampler_start(&sampler, NULL, 0.75);
	is_close(sampler.log_q[7], -log(ITEMS), 1e-6, "no counts: all alike");
	free(draw);
	free(arena.base);
}

/* exp(loss) of one row is an estimate of sum exp r_j / exp r_i without bias. */
static void
test_unbiased(void)
{
	enum
	{
		KEYS = 4000
	};
	Head c;
	double mean = 0, square = 0;

	head_open(&c, SL_LOSS_SAMPLED_SOFTMAX, 1, 200, 20);
	fill(&c, 6);
	c.item[0] = 11;
	c.row_weight[0] = 1;
	for (int key = 0; key < KEYS; key++)
	{
		c.key = (uint64_t) key;

		double estimate = exp(head_loss(&c, false, 1));

		mean += estimate / KEYS;
		square += estimate * estimate / KEYS;
	}
	c.loss.kind = SL_LOSS_CROSS_ENTROPY;

	double want = exp(head_loss(&c, false, 1)),
		   error = sqrt((square - mean * mean) / KEYS);

	ok(fabs(mean - want) < 4 * error && error < 0.02 * want,
	   "sampled softmax estimates the exact sum: %.2f, %.2f (standard error %.2f)", mean,
	   want, error);
	head_close(&c);
}

/* ---- ranks ---- */

static void
test_ranks(int items, int rows, int n)
{
	uint64_t seed = 31;
	float *weight = pack_numbers(&seed, (size_t) items * COLS, 1);
	float *bias = pack_numbers(&seed, items, 1), *h = pack_numbers(&seed, rows * COLS, 1);
	int32_t *item = malloc(sizeof(int32_t) * rows);
	int32_t *best = malloc(sizeof(int32_t) * rows * n);
	double *p = malloc(sizeof(double) * rows), *place = malloc(sizeof(double) * rows);
	double *best_p = malloc(sizeof(double) * rows * n);
	SlItemHead head = {weight, bias, items, COLS};
	SlItemRank rank = {item, p, place, n, best, best_p};
	SlArena work = {0};
	double worst = 0;
	bool places = true, order = true;

	/* items 2 and 3 always have equal scores, and so do the last two */
	memcpy(weight + 3 * COLS, weight + 2 * COLS, sizeof(float) * COLS);
	memcpy(weight + (size_t) (items - 1) * COLS, weight + (size_t) (items - 2) * COLS,
		   sizeof(float) * COLS);
	bias[3] = bias[2];
	bias[items - 1] = bias[items - 2];
	for (int i = 0; i < rows; i++)
		item[i] = i % 9 == 8 ? -1 : i % 3 == 0 ? 2 : (i * 7919) % items;
	is_int(sl_item_rank(&head, h, rows, &rank, NULL, NULL, &work), SL_OK, "counted");
	work = pack_arena(&work);
	is_int(sl_item_rank(&head, h, rows, &rank, NULL, NULL, &work), SL_OK, "ranked");
	is_int(work.used, 0, "memory is given back");
	for (int i = 0; i < rows; i++)
	{
		double sum = 0, *r = malloc(sizeof(double) * items);
		int above = 0, same = 0;

		for (int j = 0; j < items; j++)
		{
			r[j] = bias[j];
			for (int k = 0; k < COLS; k++)
				r[j] += (double) h[i * COLS + k] * weight[(size_t) j * COLS + k];
			sum += exp(r[j]);
		}
		for (int j = 0; item[i] >= 0 && j < items; j++)
		{
			bool equal = fabs(r[j] - r[item[i]]) < 1e-6;

			above += !equal && r[j] > r[item[i]];
			same += equal;
		}
		if (item[i] < 0)
			places &= isnan(p[i]) && isnan(place[i]);
		else
		{
			worst = pack_worse(worst, fabs(p[i] - (r[item[i]] - log(sum))));
			places &= fabs(place[i] - (1 + above + 0.5 * (same - 1))) <= 0.5;
			places &= item[i] != 2 || place[i] - floor(place[i]) == 0.5;
		}
		for (int j = 0; j < n; j++)
		{
			int32_t at = best[i * n + j];
			int better = 0;

			for (int k = 0; k < items; k++)
				better += r[k] > r[at] + 1e-6;
			order &= better <= j;
			order &= j == 0 || best_p[i * n + j] <= best_p[i * n + j - 1];
			order &= at != 3 || (j > 0 && best[i * n + j - 1] == 2);
			worst = pack_worse(worst, fabs(best_p[i * n + j] - (r[at] - log(sum))));
		}
		free(r);
	}
	ok(worst < 1e-5, "%d items: logarithms of probabilities (%.1e)", items, worst);
	ok(places, "%d items: ranks", items);
	ok(order, "%d items: the %d best", items, n);
	rank.n = items + 1;
	is_int(sl_item_rank(&head, h, rows, &rank, NULL, NULL, &work), SL_BAD_SHAPE,
		   "more than there are");
	work.used = 0;
	work.size /= 2;
	rank.n = n;
	is_int(sl_item_rank(&head, h, rows, &rank, NULL, NULL, &work), SL_NO_MEMORY,
		   "too little memory");
	free(weight);
	free(bias);
	free(h);
	free(item);
	free(best);
	free(p);
	free(place);
	free(best_p);
	free(work.base);
}

int
main(void)
{
	test_parity();
	test_differences(SL_LOSS_CROSS_ENTROPY, 40, 0);
	test_differences(SL_LOSS_CROSS_ENTROPY, 20000, 0);
	for (int k = 1; k < 4; k++)
		test_differences(kinds[k], 300, 100);
	test_extremes();
	test_sampler();
	test_unbiased();
	test_ranks(6, 30, 6);
	test_ranks(3000, 700, 50);
	return done_testing();
}
