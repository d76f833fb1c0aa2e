/*
 * gru.c: the gates of a GRU as cuDNN and PyTorch have it: weights in the order r, z, n,
 * reset applied after the recurrent product.
 *
 *   n = tanh(x Wn' + b + sigmoid(r) (h(t-1) Un' + b'))
 *   h = (1 - sigmoid(z)) n + sigmoid(z) h(t-1)
 *
 * n's two products must be kept apart, so gates are n, r, z, m: the input product fills
 * the first three, the recurrent product the last three.
 */
#include "nn/recurrent.h"

#include <string.h>

#include "nn/kernel.h"

static void
join_bias(int hidden, const float *ih, const float *hh, float *bias)
{
	memcpy(bias, ih + 2 * (size_t) hidden, (size_t) hidden * sizeof(float));
	for (int j = 0; j < 2 * hidden; j++)
		bias[hidden + j] = ih[j] + hh[j];
	memcpy(bias + 3 * (size_t) hidden, hh + 2 * (size_t) hidden,
		   (size_t) hidden * sizeof(float));
}

static void
split_bias(int hidden, const float *sum, float *ih, float *hh)
{
	for (int j = 0; j < 2 * hidden; j++)
		ih[j] += sum[hidden + j];
	for (int j = 0; j < hidden; j++)
		ih[2 * hidden + j] += sum[j];
	for (int j = 0; j < 3 * hidden; j++)
		hh[j] += sum[hidden + j];
}

static void
forward(SlRecurrentOp *op, const SlStepPart *part)
{
	int hidden = op->layer.hidden;

	sl_gru_forward(part->count, hidden, part->gates, op->bias, part->h, part->h_stride,
				   op->y->data + (size_t) part->row * hidden);
}

static void
backward(SlRecurrentOp *op, const SlStepPart *part)
{
	int hidden = op->layer.hidden;

	sl_gru_backward(part->count, hidden, part->gates, part->h, part->h_stride,
					op->y->grad + (size_t) part->row * hidden,
					op->dh + (size_t) part->sequence * hidden);
}

const SlCellType sl_gru_cell = {
	.gates = 3,
	.states = 1,
	.input = {{.gate = 1, .weight = 0, .count = 2}, {.gate = 0, .weight = 2, .count = 1}},
	.recurrent = {{.gate = 1, .weight = 0, .count = 2},
				  {.gate = 3, .weight = 2, .count = 1}},
	.join_bias = join_bias,
	.split_bias = split_bias,
	.forward = forward,
	.backward = backward,
};
