/*
 * decode.c: see decode.h.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "predict/decode.h"
#include "sessionlen.h"

typedef struct Candidate
{
	double log_probability; /* of the whole sequence */
	int parent;
	int32 item;
} Candidate;

typedef struct Beam
{
	const SlDecode *decode;
	int live;  /* sequences kept now */
	int asked; /* next items of each that are looked at */
	/* parents: as many as are ever continued, width or 1 */
	/* of every step: where a sequence came from, and its item */
	int *parent;			 /* [steps x width] */
	int32 *item;			 /* [steps x width] */
	double *log_probability; /* [width] */
	Candidate *candidate;	 /* [parents x asked] */
	float *state;			 /* [parents x state]; so has the next */
	float *next_state;
	float *x; /* [parents x inputs] */
	int32 *code[SL_MAX_EMBEDDINGS];
	float *hidden; /* [parents x hidden] */
	int32_t *best; /* [parents x asked] */
	double *score; /* [parents x asked] */
} Beam;

static void *
room(Size *bytes, Size count, Size width)
{
	*bytes += count * width;
	if (*bytes > (Size) sl_memory_limit * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("this many items do not fit into sessionlen.memory_limit"),
				 errhint("Lower n, beam or steps, or raise sessionlen.memory_limit.")));
	return MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * width);
}

static Beam
make_beam(const SlDecode *d)
{
	const SlNet *net = &d->model->net;
	Size width = d->width;
	Size parents = d->steps == 1 ? 1 : width;
	Size bytes = 0;
	Beam b = {.decode = d, .asked = Min(d->width, net->spec.items)};

	b.parent = room(&bytes, width * d->steps, sizeof(int));
	b.item = room(&bytes, width * d->steps, sizeof(int32));
	b.log_probability = room(&bytes, width, sizeof(double));
	b.candidate = room(&bytes, parents * b.asked, sizeof(Candidate));
	b.state = room(&bytes, parents * net->state, sizeof(float));
	b.next_state = room(&bytes, parents * net->state, sizeof(float));
	b.x = room(&bytes, parents * net->spec.inputs, sizeof(float));
	for (int e = 0; e < net->spec.embeddings; e++)
		b.code[e] = room(&bytes, parents, sizeof(int32));
	b.hidden = room(&bytes, parents * net->spec.outputs, sizeof(float));
	b.best = room(&bytes, parents * b.asked, sizeof(int32_t));
	b.score = room(&bytes, parents * b.asked, sizeof(double));
	b.live = 1;
	b.log_probability[0] = 0;
	return b;
}

/* The state after the past. */
static void
run_past(Beam *b)
{
	const SlDecode *d = b->decode;
	Size bytes = 0;
	float *out;

	if (d->past == 0)
		return;
	out = room(&bytes, (Size) d->past * d->model->net.spec.outputs, sizeof(float));
	if (sl_runner_is_whole(d->model))
		sl_runner_whole(d->runner, d->past, d->x, d->code, NULL, b->state, out);
	else
		sl_runner_rows(d->runner, d->past, d->x, d->code, b->state, true, out);
	pfree(out);
}

/* One more row of each sequence: what may come after it. */
static void
ask(Beam *b, int step)
{
	const SlDecode *d = b->decode;
	const SlNetSpec *spec = &d->model->net.spec;
	int row = d->past + step;

	for (int i = 0; i < b->live; i++)
	{
		memcpy(b->x + (Size) i * spec->inputs, d->x + (Size) row * spec->inputs,
			   sizeof(float) * spec->inputs);
		for (int e = 0; e < spec->embeddings; e++)
			b->code[e][i] = d->code[e][row];
		if (step > 0)
			b->code[spec->item][i] =
				b->item[(Size) (step - 1) * d->width + i] + SL_ITEM_FIRST;
	}
	sl_runner_step(d->runner, b->live, b->x, b->code, b->state, d->past == 0 && step == 0,
				   b->hidden);
	sl_ranker_rank(
		d->ranker, b->hidden, b->live,
		&(SlItemRank){.n = b->asked, .best = b->best, .best_log_probability = b->score});
}

/* Best first; equal ones in the order of their parents, then of items.  There may be
 * many millions, and the sort itself does not listen to cancels. */
static int
by_probability(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	CHECK_FOR_INTERRUPTS();
	if (x->log_probability != y->log_probability)
		return x->log_probability > y->log_probability ? -1 : 1;
	if (x->parent != y->parent)
		return x->parent - y->parent;
	return x->item < y->item ? -1 : x->item > y->item;
}

/* The best continuations become the beam. */
static void
keep(Beam *b, int step)
{
	const SlDecode *d = b->decode;
	int state = d->model->net.state;
	Size count = 0;
	float *swap;

	for (int i = 0; i < b->live; i++)
		for (int j = 0; j < b->asked; j++)
		{
			Size at = (Size) i * b->asked + j;

			(void) sl_ranker_probability(d->model, b->score[at]);
			b->candidate[count++] =
				(Candidate){b->log_probability[i] + b->score[at], i, b->best[at]};
		}
	qsort(b->candidate, count, sizeof(Candidate), by_probability);
	b->live = (int) Min(count, (Size) d->width);
	for (int i = 0; i < b->live; i++)
	{
		const Candidate *c = &b->candidate[i];
		Size at = (Size) step * d->width + i;

		b->log_probability[i] = c->log_probability;
		b->parent[at] = c->parent;
		b->item[at] = c->item;
		if (step < d->steps - 1)
			memcpy(b->next_state + (Size) i * state, b->state + (Size) c->parent * state,
				   sizeof(float) * state);
	}
	swap = b->state;
	b->state = b->next_state;
	b->next_state = swap;
}

SlDecoded
sl_decode(const SlDecode *d)
{
	Beam b = make_beam(d);
	SlDecoded decoded;

	run_past(&b);
	for (int step = 0; step < d->steps; step++)
	{
		CHECK_FOR_INTERRUPTS();
		ask(&b, step);
		keep(&b, step);
	}
	decoded.count = b.live;
	decoded.log_probability = b.log_probability;
	decoded.item = MemoryContextAllocHuge(CurrentMemoryContext,
										  sizeof(int32) * (Size) b.live * d->steps);
	for (int i = 0; i < b.live; i++)
		for (int step = d->steps - 1, at = i; step >= 0; step--)
		{
			decoded.item[(Size) i * d->steps + step] =
				b.item[(Size) step * d->width + at];
			at = b.parent[(Size) step * d->width + at];
		}
	return decoded;
}
