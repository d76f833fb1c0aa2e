/*
 * lstm.c: the gates of an LSTM: i, f, g, o in PyTorch's order.
 *
 *   c = sigmoid(f) c(t-1) + sigmoid(i) tanh(g)      h = sigmoid(o) tanh(c)
 */
#include "nn/recurrent.h"

#include "nn/kernel.h"

static void
join_bias(int hidden, const float *ih, const float *hh, float *bias)
{
	for (int j = 0; j < 4 * hidden; j++)
		bias[j] = ih[j] + hh[j];
}

static void
split_bias(int hidden, const float *sum, float *ih, float *hh)
{
	for (int j = 0; j < 4 * hidden; j++)
	{
		ih[j] += sum[j];
		hh[j] += sum[j];
	}
}

static void
forward(SlRecurrentOp *op, const SlStepPart *part)
{
	int hidden = op->layer.hidden;

	sl_lstm_forward(part->count, hidden, part->gates, op->bias, part->c, part->c_stride,
					sl_cell_state(op, part), op->y->data + (size_t) part->row * hidden);
}

static void
backward(SlRecurrentOp *op, const SlStepPart *part)
{
	int hidden = op->layer.hidden;
	size_t carried = (size_t) part->sequence * hidden;

	sl_lstm_backward(part->count, hidden, part->gates, part->c, part->c_stride,
					 sl_cell_state(op, part), op->y->grad + (size_t) part->row * hidden,
					 op->dh + carried, op->dc + carried);
}

const SlCellType sl_lstm_cell = {
	.gates = 4,
	.states = 2,
	.input = {{.gate = 0, .weight = 0, .count = 4}},
	.recurrent = {{.gate = 0, .weight = 0, .count = 4}},
	.join_bias = join_bias,
	.split_bias = split_bias,
	.forward = forward,
	.backward = backward,
};
