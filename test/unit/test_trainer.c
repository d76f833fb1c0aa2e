/*
 * test_trainer.c: how runs of the trainer end, and the memory they take.
 */
#include "training.h"

/* ---- how runs end ---- */

/* Validation wants the opposite of what training wants: the first epoch is the best. */
static Case *
opposed_case(void)
{
	Case *c = case_new(31, "gru", 8, 12, 1, 6, 0);

	for (int i = 0; i < c->set.rows; i++)
		c->y[i] = c->validation_weight[i] > 0 ? -3 : 3;
	c->plan.epochs = 10;
	return c;
}

static void
check_patience(void)
{
	Case *c = opposed_case();
	size_t bytes = c->net.params.total * sizeof(float);
	Run run = {0}, all = {0}, better = {0};

	c->plan.patience = 3;
	run_in(&run, c, 0);
	is_int(run.result.epochs, 4, "three epochs without a better one end the run");
	is_int(run.result.best.epoch, 1, "the best epoch is reported");
	ok(run.status == SL_OK && memcmp(run.state.value, run.after_epoch[0], bytes) == 0,
	   "and its weights kept");
	is_close(run.result.best.validation_loss, run.epoch[0].validation_loss, 0,
			 "with its loss");

	c->plan.patience = 0;
	run_in(&all, c, 0);
	ok(all.result.epochs == 10 && all.result.best.epoch == 10 &&
		   memcmp(all.state.value, all.after_epoch[9], bytes) == 0,
	   "without patience the last epoch is kept");

	for (int i = 0; i < c->set.rows; i++)
		c->y[i] = 3;
	c->plan.patience = 1;
	c->plan.learning_rate = 1e-3f;
	run_in(&better, c, 0);
	ok(better.result.epochs == 10 && better.result.best.epoch == 10 &&
		   memcmp(better.state.value, better.after_epoch[9], bytes) == 0,
	   "as long as it gets better, all epochs run");
	run_free(&run);
	run_free(&all);
	run_free(&better);
	case_free(c);
}

/* A run that patience ends leaves the optimiser as a run of the best epoch alone does,
 * and takes the memory for it. */
static void
check_patience_state(SlOptimKind optimizer, const char *name)
{
	Case *c = opposed_case();
	size_t bytes = c->net.params.total * sizeof(float);
	Run run = {0}, best = {0};
	size_t memory;

	c->plan.optimizer = optimizer;
	c->plan.patience = 2;
	memory = sl_train_memory(&c->net, &c->set, &c->plan);
	run_in(&run, c, 0);
	c->plan.patience = 0;
	c->plan.epochs = run.result.best.epoch;
	ok(memory - sl_train_memory(&c->net, &c->set, &c->plan) >=
		   bytes * (1 + sl_optim_moments(optimizer)),
	   "%s: the memory of the best epoch is counted", name);
	run_in(&best, c, 0);
	ok(run.status == SL_OK && run.result.epochs > best.result.epochs &&
		   memcmp(run.state.value, best.state.value, bytes) == 0 &&
		   memcmp(run.state.moments, best.state.moments,
				  bytes * sl_optim_moments(optimizer)) == 0 &&
		   run.state.step == best.state.step &&
		   run.state.mu_product == best.state.mu_product,
	   "%s: patience leaves the optimiser as it was after the best epoch", name);
	run_free(&run);
	run_free(&best);
	case_free(c);
}

static void
check_time_limit(void)
{
	Case *c = opposed_case();
	size_t bytes = c->net.params.total * sizeof(float);
	Run free_run = {.tick = 1}, limited = {.tick = 1}, kept = {.tick = 1},
		least = {.tick = 1}, whole = {.tick = 1}, exact = {.tick = 1};

	run_in(&free_run, c, 0);
	ok(!free_run.result.out_of_time && free_run.result.epochs == 10,
	   "no limit, no hurry");

	c->plan.time_limit = free_run.result.seconds / 2;
	run_in(&limited, c, 0);
	ok(limited.status == SL_OK && limited.result.out_of_time &&
		   limited.result.epochs > 1 && limited.result.epochs < 10 &&
		   limited.epochs == limited.result.epochs,
	   "out of time: a normal end after %d epochs", limited.result.epochs);
	ok(memcmp(limited.state.value, limited.after[limited.steps - 1], bytes) == 0 &&
		   memcmp(limited.state.value, free_run.after[limited.steps - 1], bytes) == 0,
	   "with the weights of its last step");
	ok(limited.result.seconds < 1.1 * c->plan.time_limit + 5 &&
		   isfinite(limited.result.best.validation_loss),
	   "soon after the limit, and validated");

	c->plan.patience = 9;
	run_in(&kept, c, 0);
	ok(kept.result.out_of_time && kept.result.best.epoch == 1 &&
		   memcmp(kept.state.value, kept.after_epoch[0], bytes) == 0,
	   "or of the best epoch");

	c->plan.patience = 0;
	c->plan.time_limit = 1e-6;
	c->plan.batch_size = 100;
	c->plan.sequence_length = 64;
	run_in(&least, c, 0);
	ok(least.steps == 1 && least.result.epochs == 1 && least.result.out_of_time,
	   "the first step is always done");
	ok(isnan(least.result.best.validation_loss) && isnan(least.epoch[0].validation_mae) &&
		   isfinite(least.result.best.training_loss) &&
		   memcmp(least.state.value, least.after[0], bytes) == 0,
	   "and kept, without a word on validation");

	c->plan.epochs = 1;
	c->plan.time_limit = 0;
	run_in(&whole, c, 0);
	c->plan.time_limit = whole.result.seconds / 1.05;
	run_in(&exact, c, 0);
	ok(exact.steps == 1 && !exact.result.out_of_time &&
		   isfinite(exact.result.best.validation_loss),
	   "a run that was complete when time ran out was not cut short");
	run_free(&least);
	run_free(&whole);
	run_free(&free_run);
	run_free(&limited);
	run_free(&kept);
	run_free(&exact);
	case_free(c);
}

static void
check_stop(void)
{
	Case *c = opposed_case();
	Run run = {.stop_after = 3}, whole = {0};
	bool stopped = true, clean = true;

	c->plan.epochs = 1;
	run_in(&run, c, 0);
	is_int(run.status, SL_STOPPED, "stopped");
	is_int(run.steps, 3, "within a step");
	run_free(&run);
	run_in(&whole, c, 0);
	for (int question = 1; question <= whole.asked; question++)
	{
		Run part = {.stop_at = question};

		run_in(&part, c, 0);
		stopped &= part.status == SL_STOPPED && part.asked_since == 1;
		clean &= memcmp(part.state.value,
						part.steps > 0 ? part.after[part.steps - 1] : c->initial,
						c->net.params.total * sizeof(float)) == 0;
		run_free(&part);
	}
	ok(stopped, "stopped at any of %d questions, in training and validation",
	   whole.asked);
	ok(clean, "the weights are those of the last whole step");
	run_free(&whole);
	case_free(c);
}

static void
check_not_finite(void)
{
	Case *c = case_new(33, "lstm", 8, 12, 1, 6, 0);
	Run input = {0}, rate = {0}, last = {0};

	c->x[(c->start[2] - 1) * 3] = NAN;
	c->train_weight[c->start[2] - 1] = 1;
	run_in(&input, c, 0);
	is_int(input.status, SL_NOT_FINITE, "NaN among the inputs");
	case_free(c);

	c = case_new(33, "lstm", 8, 12, 1, 6, 0);
	c->plan.learning_rate = 1e30f;
	run_in(&rate, c, 0);
	is_int(rate.status, SL_NOT_FINITE, "a rate far too large");
	run_free(&rate);

	/* one step, after which nothing looks at the weights */
	c->plan.learning_rate = 3e38f;
	c->plan.batch_size = 100;
	c->plan.sequence_length = 64;
	c->plan.epochs = 1;
	for (int i = 0; i < c->set.rows; i++)
		c->y[i] = 1e6f;
	memset(c->validation_weight, 0, c->set.rows * sizeof(float));
	run_in(&last, c, 0);
	is_int(last.status, SL_NOT_FINITE, "a last step to infinite weights");
	run_free(&input);
	run_free(&last);
	case_free(c);
}

/* ---- memory ---- */

static void
check_memory(void)
{
	uint64_t seed = 77;
	int bad = 0, loose = 0;

	for (int i = 0; i < 300; i++)
	{
		int sequences = 1 + below(&seed, i % 10 == 0 ? 300 : 12);
		int longest = 1 + below(&seed, i % 7 == 0 ? 60 : 9), layers = 1 + below(&seed, 3);
		const char *arch = below(&seed, 2) ? "gru" : "lstm";
		Case *c = case_new(100 + i, arch, sequences, longest, layers,
						   3 + below(&seed, 12), below(&seed, 2) ? 0.2f : 0);
		Run run = {0}, short_run = {0};

		c->plan.batch_size = 1 + below(&seed, 2 * sequences + 3);
		c->plan.sequence_length = 1 + below(&seed, longest + 3);
		c->plan.epochs = 1;
		c->plan.learning_rate = 1e-4f;
		c->plan.shuffle = below(&seed, 2);
		if (below(&seed, 4) == 0)
			c->net.spec.recurrent_dropout = c->net.recurrent[0].recurrent_dropout = 0;
		run_in(&run, c, 0);
		if (run.status != SL_OK ||
			run.memory != sl_train_memory(&c->net, &c->set, &c->plan))
		{
			note(
				"%s, %d sequences up to %d, %d lanes, chunks of %d, %d layers: status %d",
				arch, sequences, longest, c->plan.batch_size, c->plan.sequence_length,
				layers, run.status);
			bad++;
		}
		run_in(&short_run, c, SL_ALIGN);
		loose += short_run.status != SL_NO_MEMORY || short_run.steps > 0;
		run_free(&run);
		run_free(&short_run);
		case_free(c);
	}
	is_int(bad, 0, "300 shapes run in the memory they ask for");
	is_int(loose, 0, "and say so before the first step when there is less");
}

static void
check_sizes(void)
{
	Case *c = case_new(41, "gru", 5, 12, 1, 6, 0);
	size_t memory;
	Run empty = {0};

	c->plan.batch_size = 1 << 20;
	c->plan.sequence_length = 12;
	memory = sl_train_memory(&c->net, &c->set, &c->plan);
	c->plan.sequence_length = SL_MAX_STEPS;
	ok(sl_train_memory(&c->net, &c->set, &c->plan) < 2 * memory,
	   "chunks longer than any sequence take no more memory");
	c->set.sequences = c->set.rows = 1 << 29;
	c->plan.sequence_length = 1;
	ok(sl_train_memory(&c->net, &c->set, &c->plan) < SIZE_MAX, "many rows");
	c->net.params.total = c->net.params.dense = SIZE_MAX / 8;
	ok(sl_train_memory(&c->net, &c->set, &c->plan) == SIZE_MAX, "sizes that overflow");
	case_free(c);

	c = case_new(41, "gru", 5, 12, 1, 6, 0);
	memset(c->train_weight, 0, c->set.rows * sizeof(float));
	memset(c->validation_weight, 0, c->set.rows * sizeof(float));
	run_in(&empty, c, 0);
	ok(empty.status == SL_OK && empty.steps == 0 &&
		   isnan(empty.epoch[0].validation_loss) &&
		   memcmp(empty.state.value, c->initial, c->net.params.total * 4) == 0,
	   "nothing to train on");
	run_free(&empty);
	case_free(c);
}

int
main(void)
{
	check_patience();
	check_patience_state(SL_OPTIM_ADAM, "adam");
	check_patience_state(SL_OPTIM_NADAM, "nadam");
	check_patience_state(SL_OPTIM_SGD, "sgd");
	check_time_limit();
	check_stop();
	check_not_finite();
	check_memory();
	check_sizes();
	return done_testing();
}
