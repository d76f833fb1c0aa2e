/*
 * test_trainer_steps.c: the trainer's steps, gradients and use of rows against the plain
 * loop of plain_loop.h.
 */
#include "plain_loop.h"

/* ---- batches ---- */

static void
check_steps(void)
{
	static const struct
	{
		const char *arch;
		int sequences, longest, batch, length;
		bool shuffle;
		float dropout;
	} setting[] = {
		{"gru", 7, 11, 3, 3, false, 0},		 {"lstm", 7, 11, 3, 3, false, 0},
		{"lstm", 9, 20, 4, 5, true, 0},		 {"gru", 9, 20, 4, 7, true, 0.3f},
		{"lstm", 9, 20, 2, 64, false, 0.3f}, {"gru", 5, 9, 100, 4, false, 0},
		{"lstm", 1, 12, 3, 2, false, 0},	 {"gru", 6, 12, 5, 1, false, 0},
		{"lstm", 6, 12, 4, 1, true, 0.3f},
	};

	for (size_t i = 0; i < sizeof(setting) / sizeof(setting[0]); i++)
		for (int censored = 0; censored < 2; censored++)
		{
			Case *c = case_new(17 + i, setting[i].arch, setting[i].sequences,
							   setting[i].longest, 2, 6, setting[i].dropout);
			Run run = {0};
			double mae, difference;

			c->plan.batch_size = setting[i].batch;
			c->plan.sequence_length = setting[i].length;
			c->plan.shuffle = setting[i].shuffle;
			c->set.censored = censored ? c->censored : NULL;
			run_in(&run, c, 0);
			difference = compare_steps(c, &run);
			ok(run.status == SL_OK && difference < 2e-6,
			   "%s, %d lanes, chunks of %d%s%s%s: %d steps as lane by lane",
			   setting[i].arch, setting[i].batch, setting[i].length,
			   setting[i].shuffle ? ", shuffled" : "",
			   setting[i].dropout > 0 ? ", dropout" : "", censored ? ", censored" : "",
			   run.steps);
			note("differ by %.1e", difference);
			is_close(run.epoch[1].validation_loss,
					 plain_validation(c, run.after_epoch[1], &mae), 1e-6,
					 "its validation loss, every sequence whole");
			is_close(run.epoch[1].validation_mae, mae, 1e-5,
					 "its MAE in the target's units");
			run_free(&run);
			case_free(c);
		}
}

/* The validation loss does not depend on how sequences are cut. */
static void
check_chunks(const char *arch)
{
	Case *c = case_new(3, arch, 12, 40, 1, 9, 0);
	double loss[3];

	for (int i = 0; i < 3; i++)
	{
		Run run = {0};

		c->plan.sequence_length = i == 0 ? 3 : i == 1 ? 100 : 4096;
		c->plan.batch_size = i == 0 ? 5 : 100;
		c->plan.learning_rate = 0;
		run_in(&run, c, 0);
		loss[i] = run.epoch[0].validation_loss;
		run_free(&run);
	}
	is_close(loss[0], loss[1], 1e-6, "%s: chunks of 3 and of 100 validate alike", arch);
	is_close(loss[0], loss[2], 1e-6, "%s: and chunks longer than any sequence", arch);
	case_free(c);
}

/* ---- gradients ---- */

/* Loss of one step as a function of the weights, the states lanes came with held fixed.
 */
static double
step_loss(Plain *p, const PlainLane *lane, int lanes, double sum, int weight,
		  float change)
{
	PlainLane *again = lanes_new(p->c);
	float kept = p->value[weight];
	double loss;

	for (int i = 0; i < lanes; i++)
	{
		float *state = again[i].state;

		memcpy(state, lane[i].state, p->c->net.state * sizeof(float));
		again[i] = lane[i];
		again[i].state = state;
	}
	p->value[weight] += change;
	p->loss = 0;
	plain_step(p, again, lanes, p->c->train_weight, sum, false);
	loss = p->loss / sum;
	p->value[weight] = kept;
	lanes_free(p->c, again);
	return loss;
}

/* The second step's gradient, taken from the weights around it, by finite differences. */
static void
check_gradient(const char *arch)
{
	Case *c = case_new(8, arch, 6, 30, 1, 5, 0);
	Run run = {0};
	Plain p = plain_new(c, c->train_weight);
	PlainLane *lane = lanes_new(c);
	int taken = 0, lanes = plain_lanes(c);
	double sum, worst = 0, size = 0, largest_state = 0;

	c->plan.learning_rate = 1;
	run_in(&run, c, 0);
	sum = plain_take(&p, lane, lanes, &taken, c->train_weight);
	plain_step(&p, lane, lanes, c->train_weight, sum, false);
	memcpy(p.value, run.after[0], c->net.params.total * sizeof(float));
	sum = plain_take(&p, lane, lanes, &taken, c->train_weight);
	for (int i = 0; i < lanes; i++)
		largest_state = fmax(largest_state, tap_max_abs(lane[i].state, c->net.state));
	for (int q = 0; q < c->net.params.count; q++)
	{
		const SlParam *param = &c->net.params.item[q];

		for (int i = 0; i < param->rows * (param->cols ? param->cols : 1); i += 3)
		{
			int w = (int) param->offset + i;
			double step = 2e-3;
			double slope = (step_loss(&p, lane, lanes, sum, w, (float) step) -
							step_loss(&p, lane, lanes, sum, w, (float) -step)) /
						   (2 * step);
			double taken_step = (double) run.after[0][w] - run.after[1][w];

			worst = fmax(worst, fabs(slope - taken_step));
			size = fmax(size, fabs(slope));
		}
	}
	ok(largest_state > 0.05 && worst < 1e-3 * size,
	   "%s: the gradient of a step ends at the state carried into it", arch);
	note("differ by %.1e of %.1e", worst, size);
	lanes_free(c, lane);
	plain_free(&p);
	run_free(&run);
	case_free(c);
}

/* Lanes in several shards: the gradient of one step as of each lane alone, same bits
 * twice. */
static void
check_shards(int lanes, int length, int hidden, float dropout)
{
	Case *c = case_new(11, "lstm", 320, 9, 1, hidden, dropout);
	Run run = {0}, again = {0};
	Plain p = plain_new(c, c->train_weight);
	PlainLane *lane;
	size_t total = c->net.params.total;
	float *step = calloc(total, sizeof(float)), *want = calloc(total, sizeof(float));
	int taken = 0;
	double sum;

	c->plan.batch_size = lanes;
	c->plan.sequence_length = length;
	c->plan.learning_rate = 1;
	ok(sl_train_team_size(&c->net, &c->set, &c->plan) > 1, "several shards");
	plain_units(&p, c->train_weight);
	lane = lanes_new(c);
	run_in(&run, c, 0);
	run_in(&again, c, 0);
	for (int i = 0; i < p.units; i++)
		p.queue[i] = i;
	sum = plain_take(&p, lane, plain_lanes(c), &taken, c->train_weight);
	plain_step(&p, lane, plain_lanes(c), c->train_weight, sum, true);
	for (size_t i = 0; i < total; i++)
	{
		step[i] = c->initial[i] - run.after[0][i];
		want[i] = (float) p.grad[i];
	}
	is_tensor(step, want, total, 1e-5,
			  "%d lanes, chunks of %d%s: the gradient lane by lane", lanes, length,
			  dropout > 0 ? ", dropout" : "");
	ok(run.status == SL_OK && memcmp(run.state.value, again.state.value, total * 4) == 0,
	   "the same bits twice");
	c->plan.learning_rate = 0.05f;
	run_free(&run);
	run = (Run){0};
	run_in(&run, c, 0);
	ok(compare_steps(c, &run) < 5e-6, "all its steps as lane by lane");
	free(step);
	free(want);
	lanes_free(c, lane);
	plain_free(&p);
	run_free(&run);
	run_free(&again);
	case_free(c);
}

/* ---- weights of rows ---- */

/* Final weights of a run; NULL if it failed. */
static float *
outcome(const Case *c)
{
	Run run = {0};
	float *value;

	run_in(&run, c, 0);
	value = run.status == SL_OK ? copy_weights(&run) : NULL;
	run_free(&run);
	return value;
}

/* Whether a run ends with the same bits as before. */
static bool
unchanged(const Case *c, const float *before)
{
	float *after = outcome(c);
	bool same = after != NULL && memcmp(before, after, c->net.params.total * 4) == 0;

	free(after);
	return same;
}

static void
check_weights(void)
{
	Case *c = case_new(20, "gru", 3, 14, 1, 6, 0);
	int first = c->start[1], end = c->start[2];
	float *before, moved;

	if (!ok(end - first >= 5, "a sequence of %d rows", end - first))
		return;
	for (int i = first; i < end; i++)
		c->train_weight[i] = i == first || i == first + 3;
	memset(c->validation_weight, 0, c->set.rows * sizeof(float));
	c->plan.sequence_length = 2;
	before = outcome(c);

	c->y[first + 1] = NAN;
	ok(unchanged(c, before), "the target of a row of weight 0 is not read");
	moved = c->x[(first + 1) * 3];
	c->x[(first + 1) * 3] += 1;
	ok(!unchanged(c, before), "its inputs move the state");
	c->x[(first + 1) * 3] = moved;
	c->x[(first + 4) * 3] = NAN;
	ok(unchanged(c, before), "a sequence ends at its last row with weight");
	c->x[(first + 3) * 3] += 1;
	ok(!unchanged(c, before), "and not before");
	free(before);
	case_free(c);
}

/* Chunks in which no row counts: the state goes on, the optimiser waits. */
static void
check_gaps(void)
{
	Case *c = case_new(23, "lstm", 2, 30, 1, 6, 0.2f);
	int length[2] = {c->start[1], c->start[2] - c->start[1]};
	int counting = (length[0] + 1) / 2 == (length[1] + 1) / 2 ? 1 : 2;
	Run run = {0};

	for (int i = 0; i < c->set.rows; i++)
		c->train_weight[i] = i == c->start[1] - 1 || i == c->start[2] - 1;
	c->plan.sequence_length = 2;
	run_in(&run, c, 0);
	ok(run.status == SL_OK && run.steps > 2 * c->plan.epochs * counting &&
		   compare_steps(c, &run) < 2e-6,
	   "steps in which no row counts");
	is_int(run.state.step, c->plan.epochs * counting, "are none of the optimiser's");
	is_int(run.epoch[0].rows, 2, "rows that count");
	run_free(&run);
	case_free(c);
}

/* With chunks of one row, rows come in the order of time. */
static void
check_time_order(void)
{
	Case *c = case_new(24, "gru", 5, 12, 1, 6, 0);
	float *before;
	int swap;

	c->plan.sequence_length = 1;
	c->plan.batch_size = 1;
	for (int i = 0; i < c->set.rows; i++)
		c->train_weight[i] = 1;
	before = outcome(c);
	swap = c->time_order[2];
	c->time_order[2] = c->time_order[7];
	c->time_order[7] = swap;
	ok(!unchanged(c, before), "single rows follow the order of time");
	c->plan.sequence_length = 2;
	free(before);
	before = outcome(c);
	c->time_order[7] = c->time_order[2];
	c->time_order[2] = swap;
	ok(unchanged(c, before), "sequences keep their own");
	free(before);
	case_free(c);
}

/* Weights that no gradient reaches may rest: the others' bits stay what they are. */
static void
check_rest(const char *arch, int optimizer)
{
	Case *c = case_new(27, arch, 40, 9, 2, 12, 0.1f);
	SlParams before = c->net.params;
	size_t total = before.total;
	float *moments = calloc(2 * total, sizeof(float));
	SlTrainState state = {.moments = moments};
	Run run = {0}, rested = {0};

	c->net.spec.recurrent_dropout = 0;
	c->plan.sequence_length = 1;
	c->plan.optimizer = (SlOptimKind) optimizer;
	run_in(&run, c, 0);
	moments[before.item[c->net.recurrent[1].weight_hh].offset + 3] = 1;
	sl_train_rest(&c->net, &c->plan, &state);
	ok(c->net.params.dense == before.dense && c->net.params.active < before.dense,
	   "%s: weights rest", arch);
	rested.c = c;
	run_in(&rested, c, 0);
	ok(run.status == SL_OK && rested.status == SL_OK && run.steps == rested.steps &&
		   memcmp(run.state.value, rested.state.value, total * sizeof(float)) == 0,
	   "the same is learnt without them");
	moments[before.item[c->net.recurrent[0].weight_hh].offset] = 1;
	sl_train_rest(&c->net, &c->plan, &state);
	ok(sl_optim_moments(c->plan.optimizer) == 0 ||
		   c->net.params.active == c->net.params.dense,
	   "not while they are in motion");
	c->plan.sequence_length = 2;
	memset(moments, 0, 2 * total * sizeof(float));
	sl_train_rest(&c->net, &c->plan, &state);
	ok(c->net.params.active == c->net.params.dense, "nor where a state is carried");
	c->plan.sequence_length = 1;
	c->plan.weight_decay = 0.1f;
	sl_train_rest(&c->net, &c->plan, &state);
	ok(c->net.params.active == c->net.params.dense, "nor where they decay");
	run_free(&run);
	run_free(&rested);
	free(moments);
	case_free(c);
}

int
main(void)
{
	check_steps();
	check_chunks("gru");
	check_chunks("lstm");
	check_gradient("gru");
	check_gradient("lstm");
	check_shards(300, 4, 24, 0);
	check_shards(300, 4, 24, 0.3f);
	check_shards(310, 1, 62, 0);
	check_shards(257, 9, 16, 0);
	check_rest("lstm", SL_OPTIM_ADAM);
	check_rest("gru", SL_OPTIM_SGD);
	check_weights();
	check_gaps();
	check_time_order();
	return done_testing();
}
