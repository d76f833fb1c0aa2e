/*
 * recurrent.c: the architectures "gru" and "lstm".
 *
 *   codes -> embeddings --+
 *   numeric features -----+-- concat -> [recurrent -> dropout] x layers -> head
 *
 * Causal: a row sees itself and the rows before it, so the state carries from chunk to
 * chunk in training and from row to row in prediction.
 */
#include "model/arch.h"

/* Of dropout masks: layer i's output has salt i, its recurrence RECURRENT_SALT + i. */
#define RECURRENT_SALT 1000

static SlStatus
define(SlNet *net, SlCell cell)
{
	const SlNetSpec *spec = &net->spec;
	int in = sl_inputs_width(spec, SL_COLUMNS_ALL);

	sl_inputs_define(net);
	for (int i = 0; i < spec->layers; i++)
	{
		SlRecurrent *layer = &net->recurrent[i];

		*layer =
			sl_recurrent_define(&net->params, "rnn", i, false, cell, in, spec->hidden[i]);
		layer->recurrent_dropout = spec->recurrent_dropout;
		layer->salt = RECURRENT_SALT + (uint32_t) i;
		net->state += sl_recurrent_state(layer);
		in = spec->hidden[i];
	}
	sl_head_define(net, in);
	return SL_OK;
}

static SlStatus
define_gru(SlNet *net)
{
	return define(net, SL_CELL_GRU);
}

static SlStatus
define_lstm(SlNet *net)
{
	return define(net, SL_CELL_LSTM);
}

static SlTensor *
forward(const SlNet *net, SlTape *tape, const SlBatch *batch)
{
	const SlNetSpec *spec = &net->spec;
	SlTensor *h = sl_inputs(net, tape, batch, SL_COLUMNS_ALL);
	size_t state = 0;

	for (int i = 0; i < spec->layers; i++)
	{
		const SlRecurrent *layer = &net->recurrent[i];

		h = sl_recurrent(tape, h, batch->pack, layer,
						 batch->state_in != NULL ? batch->state_in + state : NULL,
						 batch->state_out != NULL ? batch->state_out + state : NULL,
						 (size_t) net->state, batch->seq_key);
		h = sl_dropout(tape, h, spec->dropout, batch->row_key, (uint32_t) i);
		state += (size_t) sl_recurrent_state(layer);
	}
	return sl_head(net, tape, h);
}

const SlArch sl_arch_gru = {.name = "gru", .define = define_gru, .forward = forward};
const SlArch sl_arch_lstm = {.name = "lstm", .define = define_lstm, .forward = forward};
