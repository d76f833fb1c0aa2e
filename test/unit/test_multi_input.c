/*
 * test_multi_input.c: the network of four inputs: its parameters, gradients against
 * central differences, a batch against its sequences alone and against the past first and
 * the future row by row, what it must not see, and which skips it reads.
 */
#include "future.h"

static SlNetSpec
spec_of(int layers)
{
	return future_spec("multi_input_lstm", SL_CELL_LSTM, false, layers);
}

static const SlParam *
find(const SlNet *net, const char *name)
{
	for (int p = 0; p < net->params.count; p++)
		if (strcmp(net->params.item[p].name, name) == 0)
			return &net->params.item[p];
	return NULL;
}

static void
check_names(void)
{
	static const struct
	{
		const char *name;
		int rows, cols;
	} want[] = {
		{"observed.weight_ih_l0", 20, 3},
		{"observed.weight_hh_l1", 16, 4},
		{"known.weight_ih_l0", 20, 9},
		{"known.weight_ih_l1", 16, 5},
		{"skips.weight_ih_l0", 20, 1},
		{"skips.bias_hh_l1", 16, 0},
		{"last.weight", 4, 9},
		{"last.bias", 4, 0},
		{"joint.weight", 3, 16},
		{"head.weight", 2, 3},
	};
	static SlNet net;
	SlNetSpec spec = spec_of(3);

	is_int(sl_net_define(&net, &spec), SL_OK, "a network is defined");
	is_int(net.state, 3 * 4 + 1, "its state");
	is_int(net.params.count, 4 + 3 * 2 * 4 + 2 + 2 + 2, "its parameters");
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
	{
		const SlParam *found = find(&net, want[i].name);

		if (ok(found != NULL, "%s", want[i].name))
			ok(found->rows == want[i].rows && found->cols == want[i].cols, "its shape");
	}
	spec.target_inputs = 0;
	is_int(sl_net_define(&net, &spec), SL_OK, "without a past target");
	ok(find(&net, "skips.weight_ih_l0") == NULL, "there is no tower of skips");
	is_int(net.state, 2 * 4 + 1, "and less state");
}

static void
check_specs(void)
{
	static SlNet net;
	SlNetSpec spec = spec_of(1);

	spec.past_steps = 0;
	is_int(sl_net_define(&net, &spec), SL_BAD_SHAPE, "no steps of skips");
	spec.past_steps = -1;
	is_int(sl_net_define(&net, &spec), SL_BAD_SHAPE, "fewer than none");
	spec.past_steps = INT32_MAX;
	is_int(sl_net_define(&net, &spec), SL_BAD_SHAPE, "too many");
	spec.past_steps = 3;
	spec.items = 7;
	is_int(sl_net_define(&net, &spec), SL_BAD_SHAPE, "items are not predicted");
	spec = (SlNetSpec){.arch = sl_arch_find("multi_input_lstm"),
					   .inputs = 1,
					   .layers = 1,
					   .hidden = {2},
					   .outputs = 1};
	is_int(sl_net_define(&net, &spec), SL_BAD_SHAPE, "a column in no group");
}

/* Outputs of sequence b's first future row after the label of its row at step t, or that
 * label's indicator where other, is turned round. */
static float
after_turning(Future *f, int b, int t, bool other)
{
	float *x = &f->x[(f->pack.offset[t] + b) * F_INPUTS + (other ? 4 : 3)];

	*x = 1 - *x;
	future_run(f, &f->batch, false);
	*x = 1 - *x;
	return f->out[(f->pack.offset[f_past[b]] + b) * f->cols];
}

/* Sequence 2 has no future, 0 and 3 have: of 3 and of 4 past rows. */
static void
check_skips(void)
{
	SlNetSpec spec = spec_of(1);

	spec.past_steps = 3;

	Future *f = future_open(&spec);

	future_run(f, &f->batch, false);

	float plain = f->out[(f->pack.offset[f_past[3]] + 3) * f->cols];

	ok(after_turning(f, 3, 3, false) != plain, "the last label is read");
	ok(after_turning(f, 3, 1, false) != plain, "the third last too");
	ok(after_turning(f, 3, 0, false) == plain, "the one before is not: three steps");
	ok(after_turning(f, 3, 3, true) == plain, "nor is the indicator");
	future_close(f);

	/* with nothing else to go by, no past at all and a past of one label differ */
	spec = (SlNetSpec){.arch = sl_arch_find("multi_input_lstm"),
					   .inputs = F_INPUTS,
					   .known_inputs = 3,
					   .target_inputs = 2,
					   .past_steps = 3,
					   .layers = 1,
					   .hidden = {4},
					   .outputs = 1};
	f = future_open(&spec);
	memset(f->x, 0, sizeof(f->x));
	future_run(f, &f->batch, false);
	ok(f->out[f->pack.offset[0] + 1] != f->out[f->pack.offset[2] + 5],
	   "a past of two skips is not no past");
	ok(f->out[f->pack.offset[0] + 1] == f->out[f->pack.offset[0] + 6],
	   "and two without one are alike");
	future_close(f);
}

int
main(void)
{
	check_names();
	check_specs();
	for (int layers = 1; layers <= 3; layers++)
	{
		SlNetSpec spec = spec_of(layers);
		char name[40];

		snprintf(name, sizeof(name), "%d widths", layers);
		future_check_gradient(&spec, name);
		future_check_parts(&spec, name);
		future_check_leak(&spec, name);
		spec.dropout = 0.3f;
		spec.recurrent_dropout = 0.2f;
		snprintf(name, sizeof(name), "%d widths, dropout", layers);
		future_check_gradient(&spec, name);
		future_check_parts(&spec, name);
	}
	check_skips();
	return done_testing();
}
