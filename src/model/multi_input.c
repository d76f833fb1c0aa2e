/*
 * multi_input.c: the architecture "multi_input_lstm": four networks side by side.
 *
 *   past rows, observed columns          -> LSTM ------+
 *   past rows, known columns             -> LSTM ------+
 *   past skips, 9 9 9 s s s              -> LSTM ------+-- dense, ReLU -> head
 *   the row to predict, known columns    -> dense, ReLU+
 *
 * The past skips are 1 less the past target, at the end of spec.past_steps steps; before
 * them stands 9, since 0 has a meaning.  With widths [a, b, c] each LSTM is a stack of a
 * and b, the dense layer beside them has b units and the joint one c; a single width
 * serves for all.  An input that has no columns is left out.
 *
 * A sequence's state is what the LSTMs say of its past, and a 1: it does not change in
 * rows to predict, and each of these is predicted from it alone.
 */
#include "model/arch.h"

#include <string.h>

#include "model/part.h"

#define NO_SKIP_YET 9.0f
#define MAX_PAST_STEPS 4096

/* Of dropout masks: a tower's layers, its recurrences, and what is joined. */
enum
{
	TOWER_SALT = 0,
	TOWER_RECURRENT_SALT = 1000,
	JOINT_SALT = 2000
};

/* The LSTMs, and their layers' place in net->recurrent; the dense layers' in dense_*. */
enum
{
	OBSERVED,
	KNOWN,
	SKIPS,
	TOWERS,

	LAST = 0,
	JOINT = 1
};

/* ---- shape ---- */

static int
tower_layers(const SlNetSpec *spec)
{
	return spec->layers > 1 ? spec->layers - 1 : 1;
}

/* Width of what a tower says of the past. */
static int
tower_width(const SlNetSpec *spec)
{
	return spec->hidden[tower_layers(spec) - 1];
}

/* Columns a tower reads; 0: it is not there. */
static int
tower_inputs(const SlNetSpec *spec, int tower)
{
	return tower == SKIPS ? spec->target_inputs > 0
						  : sl_inputs_width(spec, tower == KNOWN ? SL_COLUMNS_KNOWN
																 : SL_COLUMNS_OBSERVED);
}

static const SlRecurrent *
tower_layer(const SlNet *net, int tower, int layer)
{
	return &net->recurrent[tower * tower_layers(&net->spec) + layer];
}

static void
define_tower(SlNet *net, int tower)
{
	static const char *const name[TOWERS] = {"observed", "known", "skips"};
	const SlNetSpec *spec = &net->spec;
	int in = tower_inputs(spec, tower);

	for (int l = 0; l < tower_layers(spec); l++)
	{
		SlRecurrent *layer = (SlRecurrent *) tower_layer(net, tower, l);
		uint32_t number = (uint32_t) (tower * SL_MAX_LAYERS + l);

		*layer = sl_recurrent_define(&net->params, name[tower], l, false, SL_CELL_LSTM,
									 in, spec->hidden[l]);
		layer->recurrent_dropout = spec->recurrent_dropout;
		layer->salt = TOWER_RECURRENT_SALT + number;
		in = spec->hidden[l];
	}
}

static void
define_dense(SlNet *net, int at, const char *weight, const char *bias, int out, int in)
{
	net->dense_weight[at] =
		sl_param_add(&net->params, weight, out, in, SL_INIT_KERNEL, 1, in);
	net->dense_bias[at] = sl_param_add(&net->params, bias, out, 0, SL_INIT_BIAS, 1, in);
}

static SlStatus
define(SlNet *net)
{
	const SlNetSpec *spec = &net->spec;
	int width = tower_width(spec), known = tower_inputs(spec, KNOWN);
	int joint = spec->hidden[spec->layers - 1];

	/* it has an output, not items, and needs to know how long the skips are */
	if (spec->items > 0 || spec->past_steps < 0 || spec->past_steps > MAX_PAST_STEPS ||
		(spec->target_inputs > 0 && spec->past_steps == 0))
		return SL_BAD_SHAPE;
	sl_inputs_define(net);
	for (int k = 0; k < TOWERS; k++)
		if (tower_inputs(spec, k) > 0)
		{
			define_tower(net, k);
			net->state += width;
		}
	if (net->state + known == 0)
		return SL_BAD_SHAPE;
	if (known > 0)
		define_dense(net, LAST, "last.weight", "last.bias", width, known);
	define_dense(net, JOINT, "joint.weight", "joint.bias", joint,
				 net->state + (known > 0 ? width : 0));
	net->state++;
	sl_head_define(net, joint);
	return SL_OK;
}

/* ---- forward ---- */

typedef struct Pass
{
	const SlNet *net;
	SlTape *tape;
	const SlBatch *batch;
	SlPart *past;
	SlPart *future;
	const int *where; /* [batch] steps before the future */
	int told;		  /* sequences whose past is to be told: the state does not */
	const int *tell;  /* [told] */
} Pass;

/* Sequences with past rows, and those without whose state says nothing. */
static void
choose_sequences(Pass *pass)
{
	const SlBatch *batch = pass->batch;
	int *tell = sl_part_ints(pass->tape, (size_t) batch->pack->batch);
	size_t stride = (size_t) pass->net->state;

	if (sl_counting(pass->tape))
		pass->told = batch->pack->batch;
	for (int b = 0; tell != NULL && b < batch->pack->batch; b++)
		if (pass->where[b] > 0 || batch->state_in == NULL ||
			batch->state_in[(size_t) b * stride + stride - 1] == 0)
			tell[pass->told++] = b;
	pass->tell = tell;
}

/* A stack of LSTMs. */
static SlTensor *
run_tower(Pass *pass, int tower, SlTensor *h, const SlPack *pack, const uint64_t *row_key,
		  const uint64_t *seq_key)
{
	const SlNetSpec *spec = &pass->net->spec;

	for (int l = 0; l < tower_layers(spec); l++)
	{
		if (l > 0)
			h = sl_dropout(pass->tape, h, spec->dropout, row_key,
						   TOWER_SALT + (uint32_t) (tower * SL_MAX_LAYERS + l));
		h = sl_recurrent(pass->tape, h, pack, tower_layer(pass->net, tower, l), NULL,
						 NULL, 0, seq_key);
	}
	return h;
}

/* Where what a tower says of each sequence is found; other sequences have it in their
 * state. */
static int *
states_elsewhere(const Pass *pass)
{
	int *from = sl_part_ints(pass->tape, (size_t) pass->batch->pack->batch);

	for (int b = 0; from != NULL && b < pass->batch->pack->batch; b++)
		from[b] = -1 - b;
	return from;
}

/* The observed or the known tower over past rows. */
static SlTensor *
tell_rows(Pass *pass, int tower, int *from)
{
	const SlPart *past = pass->past;
	const SlBatch *batch = &past->batch;

	if (past->pack.batch == 0)
		return NULL;
	for (int i = 0; from != NULL && i < past->pack.batch; i++)
	{
		int b = past->sequence[i];

		from[b] = past->pack.offset[pass->where[b] - 1] + i;
	}
	return run_tower(pass, tower,
					 sl_inputs(pass->net, pass->tape, batch,
							   tower == KNOWN ? SL_COLUMNS_KNOWN : SL_COLUMNS_OBSERVED),
					 batch->pack, batch->row_key, batch->seq_key);
}

/* The memory that the tower over past skips reads. */
typedef struct Skips
{
	SlPack pack;
	float *x;
	uint64_t *row_key;
	uint64_t *seq_key;
} Skips;

static bool
skips_alloc(Pass *pass, Skips *skips, int **size, int **offset)
{
	SlTape *tape = pass->tape;
	int steps = pass->net->spec.past_steps;
	size_t rows = (size_t) steps * (size_t) pass->told;

	if (rows > INT32_MAX)
	{
		tape->status = SL_BAD_SHAPE;
		return false;
	}
	skips->x = sl_alloc(tape->arena, rows, sizeof(float));
	skips->row_key = sl_alloc(tape->arena, rows, sizeof(uint64_t));
	skips->seq_key = sl_alloc(tape->arena, (size_t) pass->told, sizeof(uint64_t));
	*size = sl_part_ints(tape, (size_t) steps);
	*offset = sl_part_ints(tape, (size_t) steps + 1);
	skips->pack = (SlPack){pass->told, steps, (int) rows, *size, *offset};
	return tape->status == SL_OK;
}

/* 1 less the past target, at step t of steps, of sequence b. */
static float
past_skip(const Pass *pass, int b, int t)
{
	const SlNetSpec *spec = &pass->net->spec;
	int row = pass->where[b] - spec->past_steps + t;
	const float *x = pass->batch->x;

	if (row < 0)
		return NO_SKIP_YET;
	x += (size_t) (pass->batch->pack->offset[row] + b) * (size_t) spec->inputs;
	return 1 - x[spec->inputs - spec->target_inputs];
}

static SlTensor *
tell_skips(Pass *pass, int *from)
{
	SlTape *tape = pass->tape;
	const uint64_t *key = pass->batch->seq_key;
	Skips local, *skips = sl_alloc(tape->arena, 1, sizeof(Skips));
	int *size, *offset, steps = pass->net->spec.past_steps;

	if (pass->told == 0)
		return NULL;
	skips = skips != NULL ? skips : &local;
	if (!skips_alloc(pass, skips, &size, &offset))
		return NULL;
	if (sl_counting(tape))
		skips->pack.steps = 1, skips->pack.size = &skips->pack.batch;
	for (int t = 0; !sl_counting(tape) && t <= steps; t++)
	{
		offset[t] = t * pass->told;
		for (int i = 0; t < steps && i < pass->told; i++)
		{
			int b = pass->tell[i], row = offset[t] + i;

			size[t] = pass->told;
			skips->x[row] = past_skip(pass, b, t);
			skips->seq_key[i] = key != NULL ? key[b] : 0;
			skips->row_key[row] = skips->seq_key[i] + ((uint64_t) (t + 1) << 40);
			from[b] = row; /* the last one stays */
		}
	}
	return run_tower(pass, SKIPS, sl_input(tape, skips->x, skips->pack.rows, 1),
					 &skips->pack, skips->row_key, skips->seq_key);
}

/* What a tower says of every sequence, [batch x width]; state: its place in states. */
static SlTensor *
tell(Pass *pass, int tower, size_t state)
{
	SlTape *tape = pass->tape;
	int n = pass->batch->pack->batch, width = tower_width(&pass->net->spec);
	size_t stride = (size_t) pass->net->state;
	const float *in =
		pass->batch->state_in != NULL ? pass->batch->state_in + state : NULL;
	int *from = states_elsewhere(pass);
	SlTensor *h = tower == SKIPS ? tell_skips(pass, from) : tell_rows(pass, tower, from);

	if (h == NULL && tape->status == SL_OK) /* no past: nothing to gather from */
		h = sl_input(tape, NULL, 0, width);
	return sl_gather(tape, h, from, n, in, stride);
}

/* Leaves what was told as states. */
static void
save_states(const Pass *pass, const SlTensor *told)
{
	size_t stride = (size_t) pass->net->state;

	for (int b = 0; b < pass->batch->pack->batch; b++)
	{
		float *out = pass->batch->state_out + (size_t) b * stride;

		if (told != NULL)
			memcpy(out, told->data + (size_t) b * (stride - 1),
				   (stride - 1) * sizeof(float));
		out[stride - 1] = 1;
	}
}

/* What all towers say of every sequence; NULL if there is no tower. */
static SlTensor *
tell_all(Pass *pass)
{
	SlTensor *part[TOWERS];
	int parts = 0;
	size_t width = (size_t) tower_width(&pass->net->spec);

	for (int k = 0; k < TOWERS; k++)
		if (tower_inputs(&pass->net->spec, k) > 0)
		{
			part[parts] = tell(pass, k, parts * width);
			parts++;
		}
	return parts > 0 ? sl_concat(pass->tape, part, parts) : NULL;
}

/* The outputs of future's rows. */
static SlTensor *
predict(Pass *pass, SlTensor *told)
{
	const SlNet *net = pass->net;
	SlTape *tape = pass->tape;
	const SlPart *future = pass->future;
	int rows = future->pack.rows;
	int *from = sl_part_ints(tape, (size_t) rows);
	SlTensor *part[2];
	int parts = 0;

	for (int t = 0; from != NULL && t < future->pack.steps; t++)
		for (int i = 0; i < future->pack.size[t]; i++)
			from[future->pack.offset[t] + i] = future->sequence[i];
	if (told != NULL)
		part[parts++] = sl_gather(tape, told, from, rows, NULL, 0);
	if (tower_inputs(&net->spec, KNOWN) > 0)
		part[parts++] = sl_relu(
			tape, sl_dense(tape, sl_inputs(net, tape, &future->batch, SL_COLUMNS_KNOWN),
						   net->dense_weight[LAST], net->dense_bias[LAST]));

	SlTensor *h = sl_dropout(tape, sl_concat(tape, part, parts), net->spec.dropout,
							 future->batch.row_key, JOINT_SALT);

	h = sl_relu(tape,
				sl_dense(tape, h, net->dense_weight[JOINT], net->dense_bias[JOINT]));
	return sl_head(net, tape, h);
}

static SlTensor *
forward(const SlNet *net, SlTape *tape, const SlBatch *batch)
{
	Pass pass = {.net = net, .tape = tape, .batch = batch};
	SlPart local[2];
	SlTensor *told, *y;
	int *where;

	if (tape->status != SL_OK)
		return NULL;
	pass.past = sl_part_alloc(tape, &local[0]);
	pass.future = sl_part_alloc(tape, &local[1]);
	if (!sl_part_split(pass.past, pass.future, &where, tape, net, batch))
		return NULL;
	pass.where = where;
	choose_sequences(&pass);
	told = tell_all(&pass);
	if (pass.future->pack.batch > 0)
		y = predict(&pass, told);
	else
		y = sl_tensor(tape, 0, net->spec.outputs);
	y = sl_gather(tape, y, sl_part_places(pass.future, tape, batch), batch->pack->rows,
				  NULL, 0);
	if (tape->status != SL_OK)
		return NULL;
	if (batch->state_out != NULL && !sl_counting(tape))
		save_states(&pass, told);
	return y;
}

const SlArch sl_arch_multi_input_lstm = {.name = "multi_input_lstm",
										 .define = define,
										 .forward = forward,
										 .whole = true,
										 .last_row = true,
										 .unit_inputs = true};
