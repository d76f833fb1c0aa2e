/*
 * recurrent.c: a recurrent layer's walk over time, and the walk forward.
 *
 * A step goes through its rows in tiles whose gates fit the second-level cache: both
 * products into the gates, the pointwise kernel over them, and on to the next tile.  The
 * weights are packed once a pass, or come packed with the tape.  Rows that start from
 * zeros cost no recurrent product at all.
 *
 * A step has up to two parts: sequences 0 .. going - 1 go on from the step before, and
 * the rest of the step's rows start.  Running forward all sequences start together and
 * fewer and fewer go on; running in reverse, sequences join as time falls to the ends of
 * the shorter ones.
 */
#include "nn/recurrent.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "nn/kernel.h"

/* Gates of a tile, at most, unless they are those of TILE_MULTIPLE rows: with fewer a
 * wide layer's weights, which lie beyond that cache, are read too often. */
#define TILE_FLOATS (64 * 1024)
#define TILE_MULTIPLE 96

/* With fewer sequences the input product of all steps comes first: a step alone has too
 * few rows for it. */
#define FEW_SEQUENCES 6

const SlCellType *
sl_recurrent_cell(const SlRecurrent *layer)
{
	return layer->cell == SL_CELL_LSTM ? &sl_lstm_cell : &sl_gru_cell;
}

int
sl_recurrent_state(const SlRecurrent *layer)
{
	return sl_recurrent_cell(layer)->states * layer->hidden;
}

SlRecurrent
sl_recurrent_define(SlParams *params, const char *prefix, int layer, bool reverse,
					SlCell cell, int in, int hidden)
{
	SlRecurrent result = {.cell = cell, .hidden = hidden, .reverse = reverse};
	int gates = sl_recurrent_cell(&result)->gates;
	int rows;
	int *index[4] = {&result.weight_ih, &result.weight_hh, &result.bias_ih,
					 &result.bias_hh};
	static const char *const name[4] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
	static const SlInit init[4] = {SL_INIT_KERNEL, SL_INIT_RECURRENT, SL_INIT_BIAS,
								   SL_INIT_BIAS};
	const int cols[4] = {in, hidden, 0, 0};

	/* sl_param_add refuses no rows, which is where too many end up */
	if (in <= 0 || hidden <= 0 || __builtin_mul_overflow(4, hidden, &rows))
		rows = 0;
	else
		rows = gates * hidden;
	for (int i = 0; i < 4; i++)
	{
		char full[2 * SL_NAME_MAX];

		snprintf(full, sizeof(full), "%s.%s_l%d%s", prefix, name[i], layer,
				 reverse ? "_reverse" : "");
		*index[i] = sl_param_add(params, full, rows, cols[i], init[i], gates, hidden);
	}
	return result;
}

/* ---- the steps ---- */

/* How many sequences of step t go on from the step walked before it. */
int
sl_recurrent_going(const SlRecurrentOp *op, int t)
{
	const SlPack *pack = op->pack;

	if (op->layer.reverse)
		return t + 1 < pack->steps ? pack->size[t + 1] : 0;
	return t > 0 ? pack->size[t] : 0;
}

/* The part of step t that goes on. */
SlStepPart
sl_going_part(const SlRecurrentOp *op, int t)
{
	size_t hidden = op->layer.hidden;
	SlStepPart part = {.row = op->pack->offset[t], .count = sl_recurrent_going(op, t)};

	if (part.count == 0)
		return part;

	SlStepPart before = {.row = op->pack->offset[op->layer.reverse ? t + 1 : t - 1]};

	part.h = op->y->data + (size_t) before.row * hidden;
	part.h_stride = hidden;
	if (op->c != NULL)
	{
		part.c = sl_cell_state(op, &before);
		part.c_stride = hidden;
	}
	return part;
}

/* The part of step t that starts. */
SlStepPart
sl_starting_part(const SlRecurrentOp *op, int t)
{
	int going = sl_recurrent_going(op, t);
	SlStepPart part = {
		.row = op->pack->offset[t] + going,
		.sequence = going,
		.count = op->pack->size[t] - going,
		.zero = op->state_in == NULL,
		.h = op->zeros,
		.c = op->zeros,
	};

	if (!part.zero)
	{
		part.h = op->state_in + (size_t) going * op->stride;
		part.c = part.h + op->layer.hidden;
		part.h_stride = part.c_stride = op->stride;
	}
	return part;
}

/* Step number s of the walk, as a time. */
int
sl_step_time(const SlRecurrentOp *op, int s)
{
	return op->layer.reverse ? op->pack->steps - 1 - s : s;
}

/* Where a row's gates are; in inference a tile's place may be used again. */
static float *
gates_of(const SlRecurrentOp *op, int row)
{
	bool reused = op->dh == NULL && !op->input_first;

	return op->gates + (reused ? 0 : (size_t) row * 4 * op->layer.hidden);
}

/* Rows from .. from + count - 1 of a part, at most a tile of them. */
SlStepPart
sl_step_tile(const SlRecurrentOp *op, const SlStepPart *part, int from)
{
	SlStepPart tile = *part;
	int left = part->count - from;

	tile.row += from;
	tile.sequence += from;
	tile.count = left < op->tile ? left : op->tile;
	tile.h += from * part->h_stride;
	if (op->c != NULL)
		tile.c += from * part->c_stride;
	tile.gates = gates_of(op, tile.row);
	return tile;
}

/* ---- forward ---- */

/* Gates = x W' of all rows. */
static void
input_product(SlRecurrentOp *op)
{
	const SlCellType *cell = sl_recurrent_cell(&op->layer);
	const SlTensor *x = op->x;
	size_t hidden = op->layer.hidden;

	for (int p = 0; p < 2 && cell->input[p].count > 0; p++)
	{
		SlTerm term = {x->data, x->cols, &op->ih.part[p]};

		sl_packed_product(x->rows, &term, 1, false,
						  op->gates + cell->input[p].gate * hidden, 4 * hidden);
	}
}

/* Previous states after dropout, kept for the weight's gradient. */
static const float *
drop_states(SlRecurrentOp *op, const SlStepPart *tile)
{
	size_t hidden = op->layer.hidden;
	float *dropped = op->h_prev + tile->row * hidden;

	for (int r = 0; r < tile->count; r++)
		sl_multiply(hidden, tile->h + r * tile->h_stride,
					op->mask + (tile->sequence + r) * hidden, dropped + r * hidden);
	return dropped;
}

/* Gates = x W' + h(t-1) U', part by part of the weights: where a GRU's n keeps both
 * products apart these are two. */
static void
gate_products(SlRecurrentOp *op, const SlStepPart *tile)
{
	const SlCellType *cell = sl_recurrent_cell(&op->layer);
	size_t hidden = op->layer.hidden;
	size_t width = 4 * hidden;
	const float *x = op->x->data + (size_t) tile->row * op->x->cols;
	bool dropped = op->mask != NULL && !tile->zero;
	SlTerm term[2] = {{x, op->x->cols, NULL}, {tile->h, tile->h_stride, NULL}};
	bool reads_x = !op->input_first;

	if (dropped)
	{
		term[1].a = drop_states(op, tile);
		term[1].stride = hidden;
	}
	for (int p = 0; p < 2 && cell->input[p].count > 0; p++)
	{
		float *input = tile->gates + cell->input[p].gate * hidden;
		float *recurrent = tile->gates + cell->recurrent[p].gate * hidden;
		bool together = input == recurrent;

		term[0].b = &op->ih.part[p];
		term[1].b = &op->hh.part[p];
		if (reads_x)
			sl_packed_product(tile->count, term, together && !tile->zero ? 2 : 1, false,
							  input, width);
		if (!tile->zero && !(together && reads_x))
			sl_packed_product(tile->count, term + 1, 1, together, recurrent, width);
	}
}

/* What a GRU's last block holds where there is no recurrent product. */
static void
clear_own_columns(const SlRecurrentOp *op, const SlStepPart *tile)
{
	size_t hidden = op->layer.hidden;

	if (op->layer.cell == SL_CELL_GRU)
		for (int r = 0; r < tile->count; r++)
			memset(tile->gates + ((size_t) r * 4 + 3) * hidden, 0,
				   hidden * sizeof(float));
}

/* Writes the states of sequences whose last row in the walk is at time t. */
static void
save_states(const SlRecurrentOp *op, int t, float *state_out)
{
	const SlPack *pack = op->pack;
	size_t hidden = op->layer.hidden;
	int first = !op->layer.reverse && t + 1 < pack->steps ? pack->size[t + 1] : 0;
	int last = op->layer.reverse && t > 0 ? 0 : pack->size[t];

	for (int b = first; b < last; b++)
	{
		SlStepPart row = {.row = pack->offset[t] + b, .sequence = b};
		float *out = state_out + (size_t) b * op->stride;

		memcpy(out, op->y->data + (size_t) row.row * hidden, hidden * sizeof(float));
		if (op->c != NULL)
			memcpy(out + hidden, sl_cell_state(op, &row), hidden * sizeof(float));
	}
}

/* Weights as the forward pass reads them. */
static void
pack_forward(SlTape *tape, SlRecurrentOp *op)
{
	int ih = op->layer.weight_ih, hh = op->layer.weight_hh;

	if (op->packed_ih == NULL)
	{
		op->ih = tape->packed[ih];
		op->hh = tape->packed[hh];
		return;
	}
	op->ih = sl_weight_pack(sl_shape(tape, ih), sl_value(tape, ih), false, op->packed_ih);
	if (op->pack->steps > 1 || op->state_in != NULL)
		op->hh =
			sl_weight_pack(sl_shape(tape, hh), sl_value(tape, hh), false, op->packed_hh);
}

/* One part of a step, tile by tile. */
static bool
part_forward(SlTape *tape, SlRecurrentOp *op, const SlStepPart *part)
{
	for (int from = 0; from < part->count; from += op->tile)
	{
		SlStepPart tile = sl_step_tile(op, part, from);

		if (!sl_go_on(tape))
			return false;
		gate_products(op, &tile);
		if (tile.zero)
			clear_own_columns(op, &tile);
		sl_recurrent_cell(&op->layer)->forward(op, &tile);
	}
	return true;
}

static void
walk_forward(SlTape *tape, SlRecurrentOp *op, float *state_out)
{
	sl_recurrent_cell(&op->layer)
		->join_bias(op->layer.hidden, sl_value(tape, op->layer.bias_ih),
					sl_value(tape, op->layer.bias_hh), op->bias);
	pack_forward(tape, op);
	if (op->input_first)
		input_product(op);
	for (int s = 0; s < op->pack->steps && sl_go_on(tape); s++)
	{
		int t = sl_step_time(op, s);
		SlStepPart part[2] = {sl_going_part(op, t), sl_starting_part(op, t)};

		for (int p = 0; p < 2; p++)
			if (!part_forward(tape, op, &part[p]))
				return;
		if (state_out != NULL)
			save_states(op, t, state_out);
	}
}

/* ---- the layer ---- */

static bool
shapes_fit(const SlTape *tape, const SlTensor *x, const SlPack *pack,
		   const SlRecurrent *layer, bool has_state, size_t stride)
{
	int rows = sl_recurrent_cell(layer)->gates * layer->hidden;

	if (has_state && (stride > INT_MAX || stride < (size_t) sl_recurrent_state(layer)))
		return false;
	return pack->batch > 0 && pack->steps > 0 && layer->hidden > 0 &&
		   layer->hidden <= INT_MAX / 4 && x->rows == pack->rows &&
		   x->cols == sl_shape(tape, layer->weight_ih)->cols &&
		   sl_shape(tape, layer->weight_ih)->rows == rows &&
		   sl_shape(tape, layer->weight_hh)->rows == rows &&
		   sl_shape(tape, layer->weight_hh)->cols == layer->hidden;
}

/* So many rows that their gates fill about half of a second-level cache; a multiple of
 * blocks of rows of both the products and the column sums. */
static int
tile_rows(const SlPack *pack, int hidden)
{
	int fit = TILE_FLOATS / 4 / hidden / TILE_MULTIPLE * TILE_MULTIPLE;
	int rows = fit > TILE_MULTIPLE ? fit : TILE_MULTIPLE;

	return rows < pack->batch ? rows : pack->batch;
}

/* Everything both passes need, so that counting the forward pass counts all. */
static void
allocate(SlTape *tape, SlRecurrentOp *op)
{
	const SlPack *pack = op->pack;
	const SlRecurrent *layer = &op->layer;
	size_t hidden = layer->hidden;
	bool keeps = tape->grad != NULL;
	bool lstm = layer->cell == SL_CELL_LSTM;
	bool drops = tape->dropout && layer->recurrent_dropout > 0;
	bool unequal = pack->steps > 0 && pack->size[pack->steps - 1] != pack->batch;

	op->tile = tile_rows(pack, layer->hidden);
	op->input_first = pack->batch < FEW_SEQUENCES;
	op->gates = sl_tape_floats(tape, keeps || op->input_first ? pack->rows : op->tile,
							   4 * hidden);
	if (tape->packed == NULL)
	{
		op->packed_ih =
			sl_tape_floats(tape, sl_weight_size(sl_shape(tape, layer->weight_ih)), 1);
		op->packed_hh =
			sl_tape_floats(tape, sl_weight_size(sl_shape(tape, layer->weight_hh)), 1);
	}
	op->bias = sl_tape_floats(tape, 4, hidden);
	op->zeros = sl_tape_floats(tape, 1, hidden);
	if (lstm)
		op->c = sl_tape_floats(tape, keeps ? pack->rows : pack->batch, hidden);
	if (drops || (keeps && unequal))
		op->h_prev = sl_tape_floats(tape, pack->rows, hidden);
	if (drops)
		op->mask = sl_tape_floats(tape, pack->batch, hidden);
	if (!keeps)
		return;
	op->dh = sl_tape_floats(tape, pack->batch, hidden);
	if (lstm)
		op->dc = sl_tape_floats(tape, pack->batch, hidden);
	else if (drops)
		op->product = sl_tape_floats(tape, op->tile, hidden);
	op->bias_sum = sl_tape_floats(tape, 4, hidden);
}

/* An operation on the tape, or the local one where none is kept. */
static SlRecurrentOp *
new_op(SlTape *tape, SlRecurrentOp *local)
{
	SlRecurrentOp *op = tape->grad != NULL ? sl_tape_op(tape, sizeof(SlRecurrentOp),
														sl_recurrent_backward)
										   : NULL;

	return op != NULL ? op : local;
}

/* The layer with its x, pack and states in args; last states go to state_out. */
static SlTensor *
run_layer(SlTape *tape, const SlRecurrentOp *args, float *state_out,
		  const uint64_t *seq_key)
{
	const SlRecurrent *layer = &args->layer;
	const SlPack *pack = args->pack;
	SlRecurrentOp local = {0};
	SlRecurrentOp *op = new_op(tape, &local);
	SlOp link = op->op;

	*op = *args;
	op->op = link;
	op->y = sl_tensor(tape, pack->rows, layer->hidden);
	allocate(tape, op);
	if (tape->status != SL_OK || sl_counting(tape))
		return tape->status == SL_OK ? op->y : NULL;
	memset(op->zeros, 0, (size_t) layer->hidden * sizeof(float));
	for (int b = 0; op->mask != NULL && b < pack->batch; b++)
		sl_dropout_mask(tape, layer->recurrent_dropout, seq_key[b], layer->salt,
						layer->hidden, op->mask + (size_t) b * layer->hidden);
	walk_forward(tape, op, state_out);
	return tape->status == SL_OK ? op->y : NULL;
}

SlTensor *
sl_recurrent(SlTape *tape, SlTensor *x, const SlPack *pack, const SlRecurrent *layer,
			 const float *state_in, float *state_out, size_t stride,
			 const uint64_t *seq_key)
{
	if (tape->status != SL_OK)
		return NULL;
	if (!shapes_fit(tape, x, pack, layer, state_in != NULL || state_out != NULL, stride))
	{
		sl_fail(tape, SL_BAD_SHAPE);
		return NULL;
	}

	SlRecurrentOp args = {
		.layer = *layer, .pack = pack, .x = x, .state_in = state_in, .stride = stride};

	return run_layer(tape, &args, state_out, seq_key);
}

/* While counting, data is NULL; the layer only asks whether there is a state. */
static const float counted_state[1];

SlTensor *
sl_recurrent_between(SlTape *tape, SlTensor *x, const SlPack *pack,
					 const SlRecurrent *layer, SlTensor *first, SlTensor **last,
					 const uint64_t *seq_key)
{
	if (last != NULL)
		*last = NULL;
	if (tape->status != SL_OK)
		return NULL;

	int state = sl_recurrent_state(layer);

	if (!shapes_fit(tape, x, pack, layer, true, (size_t) state) ||
		(first != NULL && (first->rows != pack->batch || first->cols != state)))
	{
		sl_fail(tape, SL_BAD_SHAPE);
		return NULL;
	}

	SlRecurrentOp args = {
		.layer = *layer, .pack = pack, .x = x, .first = first, .stride = (size_t) state};

	if (first != NULL)
		args.state_in = sl_counting(tape) ? counted_state : first->data;
	if (last != NULL)
		args.last = sl_tensor(tape, pack->batch, state);

	SlTensor *y =
		run_layer(tape, &args, args.last != NULL ? args.last->data : NULL, seq_key);

	if (y != NULL && last != NULL)
		*last = args.last;
	return y;
}
