/*
 * decode.c: see decode.h.  Sequences are decoded side by side, a step of the future at a
 * time, and no further than to the last row that reads a choice.
 */
#include "model/decode.h"

#include <string.h>

#include "model/part.h"
#include "nn/item_rank.h"
#include "nn/random.h"

/* Keeps these draws apart from dropout masks, which hash the same seed. */
#define STREAM 0x7363686564756c65u

typedef struct Decoder
{
	const SlNet *net;
	const SlBatch *batch;
	int32_t *code;
	const int32_t *codes[SL_MAX_EMBEDDINGS]; /* the batch's, with code for the item's */
	SlTape tape;
	int *where;	   /* [batch] steps before the future */
	int *decoded;  /* [batch] future steps that must be decoded */
	int *length;   /* [batch] rows taken now */
	bool *own;	   /* [rows] reads the network's choice */
	float *state;  /* [batch x net->state] */
	float *within; /* states of the part that is run */
} Decoder;

/* Row of sequence b at future step k, or -1 past its end. */
static int
future_row(const Decoder *d, int b, int k)
{
	const SlPack *pack = d->batch->pack;
	int t = d->where[b] + k;

	return t < pack->steps && b < pack->size[t] ? pack->offset[t] + b : -1;
}

static void
fail(SlTape *tape, SlStatus status)
{
	if (tape->status == SL_OK)
		tape->status = status;
}

static void *
take_memory(Decoder *d, size_t count, size_t width)
{
	void *result = sl_alloc(d->tape.arena, count, width);

	if (d->tape.arena->used == SIZE_MAX)
		fail(&d->tape, SL_NO_MEMORY);
	return result;
}

static bool
allocate(Decoder *d)
{
	size_t n = (size_t) d->batch->pack->batch, state = (size_t) d->net->state;

	d->where = take_memory(d, n, sizeof(int));
	d->decoded = take_memory(d, n, sizeof(int));
	d->length = take_memory(d, n, sizeof(int));
	d->own = take_memory(d, (size_t) d->batch->pack->rows, sizeof(bool));
	d->state = take_memory(d, n * state, sizeof(float));
	d->within = take_memory(d, n * state, sizeof(float));
	return d->tape.status == SL_OK;
}

static void
find_futures(Decoder *d)
{
	const SlPack *pack = d->batch->pack;

	for (int b = 0; b < pack->batch; b++)
	{
		int t = 0;

		while (t < pack->steps && b < pack->size[t] &&
			   !(d->batch->future && d->batch->future[pack->offset[t] + b]))
			t++;
		d->where[b] = t;
	}
}

/* Which rows read the network's choice; whether any does. */
static bool
draw(Decoder *d, float teacher_forcing)
{
	uint64_t seed = sl_random_bits(d->tape.seed, STREAM, 0);
	bool any = false;

	memset(d->own, 0, sizeof(bool) * (size_t) d->batch->pack->rows);
	for (int b = 0; b < d->batch->pack->batch; b++)
	{
		int row;

		d->decoded[b] = 0;
		for (int k = 1; (row = future_row(d, b, k)) >= 0; k++)
			if (sl_random_uniform(seed, d->tape.epoch, d->batch->row_key[row]) >=
				teacher_forcing)
			{
				d->own[row] = any = true;
				d->decoded[b] = k;
			}
	}
	return any;
}

/* Sequences start from the state given, or zeros. */
static void
first_states(Decoder *d)
{
	size_t count = (size_t) d->batch->pack->batch * (size_t) d->net->state;

	if (d->batch->state_in != NULL)
		memcpy(d->state, d->batch->state_in, count * sizeof(float));
	else
		memset(d->state, 0, count * sizeof(float));
}

/* Runs length[b] rows from step first[b] on, from the states there are to the next. */
static SlTensor *
run(Decoder *d, SlPart *part, const int *first)
{
	SlBatch batch = *d->batch;
	size_t width = (size_t) d->net->state;

	batch.code = d->codes;
	if (!sl_part_take(part, &d->tape, d->net, &batch, first, d->length))
		return NULL;
	for (int i = 0; !sl_counting(&d->tape) && i < part->pack.batch; i++)
		memcpy(d->within + (size_t) i * width,
			   d->state + (size_t) part->sequence[i] * width, width * sizeof(float));

	uint8_t *future = take_memory(d, (size_t) part->pack.rows, sizeof(uint8_t));

	for (int i = 0; future != NULL && i < part->pack.rows; i++)
		future[i] = batch.future != NULL && batch.future[part->row[i]];
	part->batch.future = future;
	part->batch.state_in = part->batch.state_out = d->within;
	if (part->pack.batch == 0)
		return NULL;

	SlTensor *y = d->net->spec.arch->forward(d->net, &d->tape, &part->batch);

	for (int i = 0; y != NULL && !sl_counting(&d->tape) && i < part->pack.batch; i++)
		memcpy(d->state + (size_t) part->sequence[i] * width,
			   d->within + (size_t) i * width, width * sizeof(float));
	return y;
}

/* The past of sequences that are decoded at all. */
static void
run_past(Decoder *d)
{
	SlPart part;
	int *first = sl_part_ints(&d->tape, (size_t) d->batch->pack->batch);

	for (int b = 0; first != NULL && b < d->batch->pack->batch; b++)
	{
		first[b] = 0;
		d->length[b] = d->decoded[b] > 0 ? d->where[b] : 0;
	}
	run(d, &part, first);
}

/* The likeliest item of each row of hidden states. */
static void
best_items(Decoder *d, const float *h, int rows, int32_t *item)
{
	const SlNet *net = d->net;
	SlTape *tape = &d->tape;
	const SlParam *weight = &net->params.item[net->head_weight];
	const SlParam *bias = &net->params.item[net->head_bias];
	SlItemHead head = {.items = net->spec.items, .hidden = weight->cols};
	SlItemRank rank = {.n = 1, .best = item};

	if (!sl_counting(tape))
	{
		head.weight = tape->value + weight->offset;
		head.bias = tape->value + bias->offset;
	}
	fail(tape, sl_item_rank(&head, h, rows, &rank, tape->should_stop, tape->stop_arg,
							tape->arena));
}

/* Hidden states of rows that a row with its own choice follows, chosen for. */
static void
choose(Decoder *d, const SlPart *part, const SlTensor *hidden, int k)
{
	size_t width = (size_t) hidden->cols;
	float *h = take_memory(d, (size_t) part->pack.rows * width, sizeof(float));
	int32_t *item = take_memory(d, (size_t) part->pack.rows, sizeof(int32_t));
	int *next = sl_part_ints(&d->tape, (size_t) part->pack.rows);
	int n = 0;

	if (sl_counting(&d->tape))
		best_items(d, h, part->pack.rows, item);
	if (d->tape.status != SL_OK || sl_counting(&d->tape))
		return;
	for (int i = 0; i < part->pack.rows; i++)
	{
		int row = future_row(d, part->sequence[i], k + 1);

		if (!d->own[row])
			continue;
		memcpy(h + (size_t) n * width, hidden->data + (size_t) i * width,
			   width * sizeof(float));
		next[n++] = row;
	}
	if (n == 0)
		return;
	best_items(d, h, n, item);
	for (int i = 0; i < n && d->tape.status == SL_OK; i++)
		d->code[next[i]] = item[i] + (int32_t) SL_ITEM_FIRST;
}

/* One step of every sequence that must go on. */
static bool
run_step(Decoder *d, int k)
{
	SlPart part;
	int n = d->batch->pack->batch, taken = 0;
	int *first = sl_part_ints(&d->tape, (size_t) n);

	for (int b = 0; first != NULL && b < n; b++)
	{
		first[b] = d->where[b] + k;
		d->length[b] = k < d->decoded[b];
		taken += d->length[b];
	}
	if (taken == 0 && !sl_counting(&d->tape))
		return false;

	SlTensor *hidden = run(d, &part, first);

	if (hidden != NULL)
		choose(d, &part, hidden, k);
	return d->tape.status == SL_OK;
}

/* Everything is said to have the whole batch's rows. */
static void
count(Decoder *d)
{
	size_t before = d->tape.arena->used, past;

	run_past(d);
	past = d->tape.arena->used;
	d->tape.arena->used = before;
	d->tape.counted = 0;
	run_step(d, 0);
	if (d->tape.arena->used < past)
		d->tape.arena->used = past;
}

static void
decode(Decoder *d)
{
	size_t before = d->tape.arena->used;
	bool more = true;

	first_states(d);
	run_past(d);
	for (int k = 0; more && d->tape.status == SL_OK; k++)
	{
		d->tape.arena->used = before;
		more = run_step(d, k);
	}
}

SlStatus
sl_decode_scheduled(const SlNet *net, const SlTape *tape, const SlBatch *batch,
					float teacher_forcing, int32_t *code)
{
	Decoder d = {.net = net, .batch = batch, .code = code};
	size_t before = tape->arena->used;
	size_t rows = (size_t) batch->pack->rows;

	if (net->spec.items <= 0 || !net->spec.has_item)
		return SL_BAD_SHAPE;
	d.tape = *tape;
	d.tape.grad = NULL;
	d.tape.last = NULL;
	if (!allocate(&d))
		return d.tape.status;
	if (sl_counting(&d.tape))
	{
		count(&d);
		return d.tape.status;
	}
	for (int e = 0; e < net->spec.embeddings; e++)
		d.codes[e] = batch->code[e];
	d.codes[net->spec.item] = code;
	if (code != batch->code[net->spec.item])
		memcpy(code, batch->code[net->spec.item], rows * sizeof(int32_t));
	find_futures(&d);
	if (draw(&d, teacher_forcing))
		decode(&d);
	tape->arena->used = before;
	return d.tape.status;
}
