/*
 * test_encoder_decoder.c: the encoder-decoder: its parameters, gradients against central
 * differences, a batch against its sequences alone and decoded step by step, and that the
 * decoder sees nothing of its rows but what is known before they happen.
 */
#include "future.h"

static const char *
name_of(const SlNetSpec *spec)
{
	static char name[80];

	snprintf(name, sizeof(name), "%s, %d layers%s%s%s",
			 spec->cell == SL_CELL_LSTM ? "lstm" : "gru", spec->layers,
			 spec->bidirectional ? ", bidirectional" : "",
			 spec->dropout > 0 ? ", dropout" : "", spec->items > 0 ? ", items" : "");
	return name;
}

/* ---- parameters ---- */

static void
check_names(void)
{
	static const struct
	{
		const char *name;
		int rows, cols;
	} want[] = {
		{"embedding.track.weight", 9, 3},
		{"embedding.context.weight", 4, 2},
		{"embedding.device.weight", 3, 2},
		{"item_features.weight", 9, 2},
		{"encoder.weight_ih_l0", 20, 14},
		{"encoder.weight_hh_l0", 20, 5},
		{"encoder.weight_ih_l0_reverse", 20, 14},
		{"encoder.weight_ih_l1", 16, 10},
		{"encoder.weight_hh_l1_reverse", 16, 4},
		{"decoder.weight_ih_l0", 20, 9},
		{"decoder.weight_ih_l1", 16, 5},
		{"bridge.l0.weight", 10, 20},
		{"bridge.l1.weight", 8, 16},
		{"bridge.l1.bias", 8, 0},
		{"head.weight", 2, 4},
		{"head.bias", 2, 0},
	};
	static SlNet net;
	SlNetSpec spec = future_spec("encoder_decoder", SL_CELL_LSTM, true, 2);

	is_int(sl_net_define(&net, &spec), SL_OK, "a network is defined");
	is_int(net.state, 2 * (5 + 4), "its state is the decoder's");
	is_int(net.params.count, 4 + 4 * 4 + 2 * 4 + 2 * 2 + 2, "its parameters");
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
	{
		const SlParam *found = NULL;

		for (int p = 0; p < net.params.count; p++)
			if (strcmp(net.params.item[p].name, want[i].name) == 0)
				found = &net.params.item[p];
		if (ok(found != NULL, "%s", want[i].name))
			ok(found->rows == want[i].rows && found->cols == want[i].cols, "its shape");
	}
	spec.bidirectional = false;
	spec.items = 5;
	is_int(sl_net_define(&net, &spec), SL_OK, "one direction");
	is_int(net.params.count, 4 + 2 * 4 + 2 * 4 + 2, "needs no bridge");
	is_int(net.params.item[net.head_weight].rows, 5, "a head for items");
}

/* ---- what does not fit ---- */

static SlStatus
try_spec(void (*change)(SlNetSpec *spec))
{
	static SlNet net;
	SlNetSpec spec = future_spec("encoder_decoder", SL_CELL_GRU, false, 1);

	change(&spec);
	return sl_net_define(&net, &spec);
}

#define CHANGE(name, statement)       \
	static void name(SlNetSpec *spec) \
	{                                 \
		statement;                    \
	}
CHANGE(negative_known, spec->known_inputs = -1)
CHANGE(too_many_known, spec->known_inputs = 3)
CHANGE(item_beyond, spec->item = F_CODES)
CHANGE(item_before, spec->item = -1)
CHANGE(negative_items, spec->items = -1)
CHANGE(huge_features, spec->item_features = INT32_MAX)
CHANGE(nothing_known, spec->known_inputs = 0; spec->has_item = false;
	   spec->embedding_known[2] = false)

static void
check_specs(void)
{
	is_int(try_spec(negative_known), SL_BAD_SHAPE, "fewer than no known columns");
	is_int(try_spec(too_many_known), SL_BAD_SHAPE, "more columns in groups than columns");
	is_int(try_spec(item_beyond), SL_BAD_SHAPE, "an item past the embeddings");
	is_int(try_spec(item_before), SL_BAD_SHAPE, "an item before them");
	is_int(try_spec(negative_items), SL_BAD_SHAPE, "fewer than no items");
	is_int(try_spec(huge_features), SL_BAD_SHAPE, "features beyond count");
	is_int(try_spec(nothing_known), SL_OK, "nothing known is allowed");

	SlNetSpec spec = future_spec("encoder_decoder", SL_CELL_GRU, true, 1);

	nothing_known(&spec);
	future_check_parts(&spec, "nothing known");
}

/* ---- passes with rows on one side only ---- */

static void
check_one_side(void)
{
	SlNetSpec spec = future_spec("encoder_decoder", SL_CELL_LSTM, true, 2);
	Future *f = future_open(&spec);
	float *state = calloc((size_t) F_BATCH * f->net.state, sizeof(float));
	SlBatch batch = f->batch;

	batch.future = NULL;
	batch.state_out = state;
	is_int((int) future_run(f, &batch, true), 0, "nothing to predict: no output");
	is_int(f->status, SL_OK, "and no failure");
	ok(tap_max_abs(f->flat.grad, f->net.params.total) == 0, "and no gradient");
	ok(tap_max_abs(state, (size_t) F_BATCH * f->net.state) > 0, "but states");
	memset(f->future, 1, sizeof(f->future));
	batch.future = f->future;

	double zero_state = (batch.state_in = NULL, future_run(f, &batch, true));

	ok(fabs(zero_state) > 0, "no past: outputs");
	for (int p = 0; p < f->net.params.count; p++)
	{
		const SlParam *param = &f->net.params.item[p];
		size_t n = (size_t) param->rows * (param->cols ? param->cols : 1);
		bool of_past = strncmp(param->name, "encoder", 7) == 0 ||
					   strncmp(param->name, "bridge", 6) == 0 ||
					   strcmp(param->name, "embedding.context.weight") == 0;

		ok((tap_max_abs(f->flat.grad + param->offset, n) == 0) == of_past,
		   "no past: %s gradient of %s", of_past ? "no" : "a", param->name);
	}
	batch.state_in = state;
	ok(future_run(f, &batch, false) != zero_state, "a state given is gone on from");
	free(state);
	future_close(f);
}

static void
check_bits(void)
{
	SlNetSpec spec = future_spec("encoder_decoder", SL_CELL_GRU, true, 2);

	spec.dropout = spec.recurrent_dropout = 0.3f;

	Future *f = future_open(&spec);
	double first = future_run(f, &f->batch, true);
	float *grad = malloc(f->net.params.total * sizeof(float));

	memcpy(grad, f->flat.grad, f->net.params.total * sizeof(float));
	ok(future_run(f, &f->batch, true) == first &&
		   memcmp(grad, f->flat.grad, f->net.params.total * sizeof(float)) == 0,
	   "the same bits twice");
	f->row_key[F_ROWS - 1] += 1;
	f->row_key[0] += 1;
	ok(future_run(f, &f->batch, true) != first, "other keys, other masks");
	free(grad);
	future_close(f);
}

int
main(void)
{
	check_names();
	check_specs();
	for (int i = 0; i < 8; i++)
	{
		SlNetSpec spec = future_spec(
			"encoder_decoder", i & 1 ? SL_CELL_LSTM : SL_CELL_GRU, i & 2, i & 4 ? 2 : 1);

		future_check_gradient(&spec, name_of(&spec));
		future_check_parts(&spec, name_of(&spec));
		future_check_leak(&spec, name_of(&spec));
		spec.dropout = 0.3f;
		spec.recurrent_dropout = 0.2f;
		future_check_gradient(&spec, name_of(&spec));
		future_check_parts(&spec, name_of(&spec));
	}

	SlNetSpec spec = future_spec("encoder_decoder", SL_CELL_GRU, true, 2);

	spec.items = 5;
	future_check_parts(&spec, name_of(&spec));
	future_check_leak(&spec, name_of(&spec));
	check_one_side();
	check_bits();
	return done_testing();
}
