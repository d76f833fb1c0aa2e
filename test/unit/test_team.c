/*
 * test_team.c: a team of threads trains the same weights, bit for bit, as one alone;
 * also when members leave in the middle of their work.
 */
#include "crew.h"
#include "nn/blas.h"
#include "train/step.h"
#include "training.h"

static bool
serve(Member *member)
{
	const SlArena *shared = &member->crew->team.shared;
	SlTeam team = member_team(member);
	SlStep step = {.should_stop = member_should_stop,
				   .stop_arg = member,
				   .team = &team,
				   .member = member->number};
	SlArena own = {.size = sl_step_join_memory(&step, shared->base, shared->size)};
	bool joined;

	own.base = aligned_alloc(SL_ALIGN, own.size);
	joined =
		sl_step_join(&step, shared->base, shared->size, &own) && own.used == own.size;
	if (joined)
		sl_step_serve(&step);
	free(own.base);
	return joined;
}

/* A training by members + 1 threads; patience of the first member. */
static float *
trained_by(const Case *c, int members, int patience, Run *run)
{
	size_t total = c->net.params.total;
	Crew crew = {.serve = serve, .members = members, .member[0].patience = patience};
	SlTrainHooks hooks = {run, on_question, NULL, NULL, on_clock, &crew.team};
	SlArena work = {0};

	crew_begin(&crew, sl_train_team_memory(&c->net, &c->set, &c->plan, &work.size));
	work.base = aligned_alloc(SL_ALIGN, work.size);
	run->c = c;
	run->state = (SlTrainState){.value = malloc(total * sizeof(float)),
								.moments = calloc(2 * total, sizeof(float)),
								.mu_product = 1};
	memcpy(run->state.value, c->initial, total * sizeof(float));
	run->status =
		sl_train(&c->net, &c->set, &c->plan, &hooks, &run->state, &work, &run->result);
	if (!crew_end(&crew) || work.used != work.size)
		run->status = SL_NO_MEMORY;
	free(work.base);
	free(crew.team.shared.base);
	return run->state.value;
}

static bool
same_result(const Case *c, const Run *a, const Run *b)
{
	size_t bytes = c->net.params.total * sizeof(float);

	return a->status == SL_OK && b->status == SL_OK &&
		   memcmp(a->state.value, b->state.value, bytes) == 0 &&
		   memcmp(a->state.moments, b->state.moments,
				  bytes * sl_optim_moments(c->plan.optimizer)) == 0 &&
		   a->state.mu_product == b->state.mu_product && a->state.step == b->state.step &&
		   a->result.rows == b->result.rows &&
		   memcmp(&a->result.best.training_loss, &b->result.best.training_loss, 8) == 0 &&
		   memcmp(&a->result.best.validation_loss, &b->result.best.validation_loss, 8) ==
			   0 &&
		   memcmp(&a->result.best.validation_mae, &b->result.best.validation_mae, 8) ==
			   0 &&
		   a->result.best.gradient_norm == b->result.best.gradient_norm;
}

static void
check_case(const char *what, Case *c)
{
	Run alone = {0};

	run_in(&alone, c, 0);
	for (int members = 0; members <= 3; members++)
	{
		Run run = {0};

		trained_by(c, members, 0, &run);
		ok(same_result(c, &alone, &run), "%s: %d processes", what, members + 1);
		run_free(&run);
	}
	for (int patience = 1; patience < 60; patience += 11)
	{
		Run run = {0};

		trained_by(c, 2, patience, &run);
		ok(same_result(c, &alone, &run), "%s: a member leaves at question %d", what,
		   patience);
		run_free(&run);
	}
	run_free(&alone);
	case_free(c);
}

/* Of several shards. */
static Case *
wide_case(const char *arch, int layers, float dropout, int sequence_length)
{
	Case *c = case_new(51, arch, 420, 9, layers, 56, dropout);

	c->plan.batch_size = 400;
	c->plan.sequence_length = sequence_length;
	c->plan.clip_norm = 0.5f;
	c->plan.optimizer = SL_OPTIM_NADAM;
	c->plan.patience = 2;
	c->plan.epochs = 3;
	return c;
}

static void
check_cancel(void)
{
	Case *c = wide_case("gru", 1, 0, 3);
	int bad = 0;

	for (int at = 1; at < 120; at += 7)
	{
		Run run = {.stop_at = at};

		trained_by(c, 2, 0, &run);
		bad += run.status != SL_STOPPED;
		run_free(&run);
	}
	is_int(bad, 0, "stopped at any question");
	case_free(c);
}

static void
check_board(void)
{
	SlBoard board;

	sl_board_init(&board);
	ok(sl_board_claim(&board) == -1 && sl_board_all_done(&board) &&
		   sl_board_reclaim(&board) == -1,
	   "an empty board");
	sl_board_publish(&board, 2);
	ok(!sl_board_is_cut(&board) && !sl_board_all_done(&board), "two items");
	ok(sl_board_claim(&board) == 0 && sl_board_claim(&board) == 1 &&
		   sl_board_claim(&board) == -1,
	   "are claimed once each");
	ok(!sl_board_finish(&board), "one is done");
	sl_board_abandon(&board, 3, 1);
	ok(sl_board_reclaim(&board) == 1 && sl_board_reclaim(&board) == -1,
	   "the other comes back");
	ok(sl_board_finish(&board) && sl_board_all_done(&board), "and is done as the last");
	sl_board_cut(&board);
	ok(sl_board_is_cut(&board), "a cut");
	sl_board_publish(&board, SL_MAX_ITEMS);
	ok(!sl_board_is_cut(&board), "is over with its publication");

	int claimed = 0;

	while (sl_board_claim(&board) == claimed)
		claimed++;
	is_int(claimed, SL_MAX_ITEMS, "as many items as there may be");
}

/* How a batch is cut. */
static void
check_cut(const char *arch, int batch, int length, int hidden, int shards)
{
	Case *c = case_new(53, arch, 1100, 40, 1, hidden, 0);

	c->plan.batch_size = batch;
	c->plan.sequence_length = length;
	is_int(sl_train_team_size(&c->net, &c->set, &c->plan), shards,
		   "%s, hidden %d: shards of %d sequences, chunks of %d", arch, hidden, batch,
		   length);
	case_free(c);
}

static void
check_cuts(void)
{
	check_cut("lstm", 400, 20, 250, 4);
	check_cut("lstm", 400, 1, 250, 2); /* of 200 rows */
	check_cut("gru", 256, 20, 512, 2); /* of 128 sequences */
	check_cut("lstm", 64, 30, 64, 2);  /* of 32 */
	check_cut("lstm", 63, 30, 64, 1);
	check_cut("lstm", 255, 30, 64, 2);
	check_cut("lstm", 256, 30, 64, 4);
	check_cut("lstm", 1024, 30, 64, 16);
	check_cut("lstm", 512, 2, 4, 1); /* too little to do */
}

int
main(void)
{
	(void) sl_blas_load(); /* not by several threads at once */
	check_board();
	check_cuts();
	check_case("lstm", wide_case("lstm", 1, 0, 4));
	check_case("gru, two layers, dropout", wide_case("gru", 2, 0.3f, 4));
	check_case("rows alone", wide_case("lstm", 1, 0, 1));

	/* weights in more than one range */
	Case *c = case_new(52, "gru", 300, 3, 1, 90, 0);

	c->plan.batch_size = 300;
	c->plan.optimizer = SL_OPTIM_ADAM;
	check_case("many weights", c);
	check_cancel();
	return done_testing();
}
