/*
 * recurrent_backward.c: a recurrent layer's walk back over time.
 *
 * Tile by tile as forward: the pointwise kernel, the sums of the biases' gradients, and
 * the products that carry gradients to the step before and to the inputs.  Gradients of
 * weights are one general product each after the walk: it runs over so many rows that
 * copying them costs nothing, and it measured faster than one of our own or one for each
 * few steps while they are still in a cache.
 */
#include "nn/recurrent.h"

#include <string.h>

#include "nn/kernel.h"

/* What comes from above the last states, or nothing. */
static void
start_back(SlRecurrentOp *op)
{
	int hidden = op->layer.hidden;
	size_t carried = (size_t) op->pack->batch * hidden * sizeof(float);

	memset(op->dh, 0, carried);
	if (op->dc != NULL)
		memset(op->dc, 0, carried);
	if (op->last == NULL)
		return;
	for (int b = 0; b < op->pack->batch; b++)
	{
		const float *grad = op->last->grad + (size_t) b * op->last->cols;

		memcpy(op->dh + (size_t) b * hidden, grad, hidden * sizeof(float));
		if (op->dc != NULL)
			memcpy(op->dc + (size_t) b * hidden, grad + hidden, hidden * sizeof(float));
	}
}

/* Whether gradients flow into the states that sequences start from. */
static bool
wants_first(const SlRecurrentOp *op)
{
	return op->first != NULL && op->first->grad != NULL;
}

/* What was carried back past the rows that start at step t. */
static void
finish_back(SlRecurrentOp *op, int t)
{
	int hidden = op->layer.hidden;

	for (int b = sl_recurrent_going(op, t); b < op->pack->size[t]; b++)
	{
		float *grad = op->first->grad + (size_t) b * op->first->cols;

		sl_add_row(1, hidden, op->dh + (size_t) b * hidden, grad, 0);
		if (op->dc != NULL)
			sl_add_row(1, hidden, op->dc + (size_t) b * hidden, grad + hidden, 0);
	}
}

/* C = dgates W, or with add C += that. */
static void
back_product(const SlRecurrentOp *op, const SlStepPart *tile, const SlGateRun *run,
			 const SlPackedWeight *weight, bool add, float *c, int width)
{
	size_t hidden = op->layer.hidden;
	SlTerm term[2];
	int terms = 0;

	for (; terms < 2 && run[terms].count > 0; terms++)
		term[terms] = (SlTerm){tile->gates + run[terms].gate * hidden, 4 * hidden,
							   &weight->part[terms]};
	sl_packed_product(tile->count, term, terms, add, c, width);
}

/* dh(t-1) = dgates U, on top of what the kernel left there for a GRU. */
static void
carry_back(SlRecurrentOp *op, const SlStepPart *tile)
{
	int hidden = op->layer.hidden;
	bool adds = op->layer.cell == SL_CELL_GRU;
	bool apart = adds && op->mask != NULL;
	size_t first = (size_t) tile->sequence * hidden;
	size_t count = (size_t) tile->count * hidden;
	float *dh = op->dh + first;

	back_product(op, tile, sl_recurrent_cell(&op->layer)->recurrent, &op->hh,
				 adds && !apart, apart ? op->product : dh, hidden);
	if (apart)
		sl_multiply_add(count, op->product, op->mask + first, dh);
	else if (op->mask != NULL)
		sl_multiply(count, dh, op->mask + first, dh);
}

/* Weights as the backward pass reads them, in place of the forward pass's. */
static void
pack_backward(SlTape *tape, SlRecurrentOp *op)
{
	int ih = op->layer.weight_ih, hh = op->layer.weight_hh;

	if (op->x->grad != NULL)
		op->ih =
			sl_weight_pack(sl_shape(tape, ih), sl_value(tape, ih), true, op->packed_ih);
	if (op->pack->steps > 1 || wants_first(op))
		op->hh =
			sl_weight_pack(sl_shape(tape, hh), sl_value(tape, hh), true, op->packed_hh);
}

/* One part of a step, tile by tile. */
static bool
part_backward(SlTape *tape, SlRecurrentOp *op, const SlStepPart *part, bool carries)
{
	const SlCellType *cell = sl_recurrent_cell(&op->layer);
	int hidden = op->layer.hidden;
	SlTensor *x = op->x;

	for (int from = 0; from < part->count; from += op->tile)
	{
		SlStepPart tile = sl_step_tile(op, part, from);

		if (!sl_go_on(tape))
			return false;
		cell->backward(op, &tile);
		sl_column_sums(tile.count, 4 * hidden, tile.gates, (size_t) 4 * hidden,
					   op->bias_sum);
		if (carries)
			carry_back(op, &tile);
		if (x->grad != NULL)
			back_product(op, &tile, cell->input, &op->ih, true,
						 x->grad + (size_t) tile.row * x->cols, x->cols);
	}
	return true;
}

static void
walk_backward(SlTape *tape, SlRecurrentOp *op)
{
	int hidden = op->layer.hidden;

	start_back(op);
	pack_backward(tape, op);
	memset(op->bias_sum, 0, (size_t) 4 * hidden * sizeof(float));
	for (int s = op->pack->steps - 1; s >= 0 && sl_go_on(tape); s--)
	{
		int t = sl_step_time(op, s);
		SlStepPart part[2] = {sl_going_part(op, t), sl_starting_part(op, t)};

		if (!part_backward(tape, op, &part[0], true) ||
			!part_backward(tape, op, &part[1], wants_first(op)))
			return;
		if (wants_first(op))
			finish_back(op, t);
	}
	if (tape->status == SL_OK)
		sl_recurrent_cell(&op->layer)
			->split_bias(hidden, op->bias_sum, sl_grad(tape, op->layer.bias_ih),
						 sl_grad(tape, op->layer.bias_hh));
}

/* Fills h_prev for all rows where dropout has not done it. */
static void
gather_previous(SlRecurrentOp *op)
{
	size_t hidden = op->layer.hidden;

	for (int t = 0; t < op->pack->steps; t++)
	{
		SlStepPart part[2] = {sl_going_part(op, t), sl_starting_part(op, t)};

		for (int p = 0; p < 2; p++)
			for (int r = 0; r < part[p].count; r++)
				if (part[p].zero || op->mask == NULL)
					memcpy(op->h_prev + (size_t) (part[p].row + r) * hidden,
						   part[p].h + r * part[p].h_stride, hidden * sizeof(float));
	}
}

/* dU += dgates' h(t-1) over rows rows. */
static void
add_recurrent_gradient(SlTape *tape, SlRecurrentOp *op, int row, int rows, const float *h,
					   int stride)
{
	const SlCellType *cell = sl_recurrent_cell(&op->layer);
	int hidden = op->layer.hidden;

	if (rows > 0)
		sl_tape_gemm(tape, true, false, cell->gates * hidden, hidden, rows,
					 op->gates + (size_t) row * 4 * hidden +
						 (size_t) cell->recurrent[0].gate * hidden,
					 4 * hidden, h, stride, 1, sl_grad(tape, op->layer.weight_hh),
					 hidden);
}

static void
recurrent_gradient(SlTape *tape, SlRecurrentOp *op)
{
	const SlPack *pack = op->pack;
	int hidden = op->layer.hidden;
	/* where all sequences start together, the rows that start are the first or the last
	 */
	int start = pack->offset[sl_step_time(op, 0)];
	bool skip = op->state_in == NULL && !op->layer.reverse;

	if (op->h_prev != NULL)
	{
		int first = skip ? pack->batch : 0;

		gather_previous(op);
		add_recurrent_gradient(tape, op, first, pack->rows - first,
							   op->h_prev + (size_t) first * hidden, hidden);
		return;
	}
	/* equal lengths: h(t-1) is y moved by a step */
	add_recurrent_gradient(
		tape, op, op->layer.reverse ? 0 : pack->batch, pack->rows - pack->batch,
		op->y->data + (op->layer.reverse ? (size_t) pack->batch * hidden : 0), hidden);
	if (op->state_in != NULL)
		add_recurrent_gradient(tape, op, start, pack->batch, op->state_in,
							   (int) op->stride);
}

/* dW += dgates' x. */
static void
input_gradient(SlTape *tape, SlRecurrentOp *op)
{
	const SlCellType *cell = sl_recurrent_cell(&op->layer);
	SlTensor *x = op->x;
	int width = 4 * op->layer.hidden;

	for (const SlGateRun *run = cell->input; run < cell->input + 2 && run->count > 0;
		 run++)
	{
		int columns = run->count * op->layer.hidden;
		const float *gates = op->gates + (size_t) run->gate * op->layer.hidden;
		size_t weight = (size_t) run->weight * op->layer.hidden * x->cols;

		sl_tape_gemm(tape, true, false, columns, x->cols, x->rows, gates, width, x->data,
					 x->cols, 1, sl_grad(tape, op->layer.weight_ih) + weight, x->cols);
	}
}

void
sl_recurrent_backward(SlTape *tape, SlOp *base)
{
	SlRecurrentOp *op = (SlRecurrentOp *) base;

	walk_backward(tape, op);
	if (sl_go_on(tape))
		recurrent_gradient(tape, op);
	if (sl_go_on(tape))
		input_gradient(tape, op);
}
