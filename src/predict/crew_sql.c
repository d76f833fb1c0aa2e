/*
 * crew_sql.c: see crew.h.
 *
 * Shared memory holds the networks with their weights and room for the rows of one offer.
 * Each group is an item of the team's board (team.h).  Workers read rows and weights and
 * write outputs, each to the places of its group's rows; a group that a worker leaves
 * undone is run again by the leader.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "predict/crew.h"
#include "sessionlen.h"
#include "train/share.h"
#include "train/workers.h"

/* Operations that make starting processes worth their while: some five hundredths of a
 * second. */
#define WORTH_STARTING 4e9

typedef struct Network
{
	char arch[SL_NAME_MAX];
	SlNet net;
	int sequence_length;
	int horizon;
} Network;

typedef struct Shared
{
	SlBoard board;
	char arithmetic[SL_ARITHMETIC_MAX];
	Size limit; /* of a process's own memory */
	int networks;
	Size room; /* bytes for an offer */
	/* the offer */
	int network;
	int rows;
	int spans;
	int groups;
} Shared;

/* Where a process finds what is shared. */
typedef struct View
{
	Shared *shared;
	Network *network;
	float **value; /* by network */
	char *offer;
} View;

struct SlCrew
{
	MemoryContext context;
	int networks;
	const SlModel *model;
	SlRunner *const *runner;
	double operations; /* of all offers so far */
	bool tried;		   /* to start */
	SlWorkers *workers;
	View view;
};

PGDLLEXPORT void sl_crew_main(Datum arg);

static const SlService service = {"prediction", "sl_crew_main"};

/* ---- what is shared ---- */

static const SlModel *
model_of(const SlCrew *crew, int network)
{
	return network == 0 ? crew->model : crew->model->network[network - 1];
}

/* A leader gives its crew, a worker, which finds all of it there, none. */
static View
lay_out(SlArena *arena, const SlCrew *crew, Size room, float **value)
{
	View view = {.value = value};
	int networks;

	view.shared = sl_alloc(arena, 1, sizeof(Shared));
	networks = crew != NULL ? crew->networks : view.shared->networks;
	view.network = sl_alloc(arena, networks, sizeof(Network));
	for (int i = 0; i < networks; i++)
	{
		const SlNet *net = crew != NULL ? &model_of(crew, i)->net : &view.network[i].net;

		value[i] = sl_alloc(arena, net->params.total, sizeof(float));
	}
	view.offer = sl_alloc(arena, room, 1);
	return view;
}

/* An offer's arrays; with an arena that only counts, how large they are. */
typedef struct Offer
{
	SlGroups groups;
	float *x;
	int32 *code[SL_MAX_EMBEDDINGS];
	uint8 *future;
	float *out;
} Offer;

static Offer
lay_out_offer(SlArena *arena, const SlNetSpec *spec, bool whole, int rows, int spans,
			  int groups)
{
	Offer offer = {.groups = {.count = groups, .spans = spans}};

	offer.groups.start = sl_alloc(arena, (Size) groups + 1, sizeof(int));
	offer.groups.span = sl_alloc(arena, spans, sizeof(SlSpan));
	offer.x = sl_alloc(arena, (Size) rows * spec->inputs, sizeof(float));
	for (int e = 0; e < spec->embeddings; e++)
		offer.code[e] = sl_alloc(arena, rows, sizeof(int32));
	if (whole)
		offer.future = sl_alloc(arena, rows, sizeof(uint8));
	offer.out = sl_alloc(arena, (Size) rows * spec->outputs, sizeof(float));
	return offer;
}

/* The offer that stands. */
static Offer
find_offer(const View *view)
{
	const Shared *s = view->shared;
	const Network *network = &view->network[s->network];
	SlArena arena = {view->offer, s->room, 0};

	return lay_out_offer(&arena, &network->net.spec, network->horizon != 0, s->rows,
						 s->spans, s->groups);
}

static void
run_group(SlRunner *runner, const Offer *offer, int group)
{
	SlRows rows = {offer->x, offer->code, offer->future, offer->out};

	sl_runner_group(runner, &offer->groups, group, &rows);
}

/* ---- starting ---- */

SlCrew *
sl_crew_create(int networks, const SlModel *model, SlRunner *const *runner)
{
	SlCrew *crew = palloc0(sizeof(SlCrew));

	crew->context = CurrentMemoryContext;
	crew->networks = networks;
	crew->model = model;
	crew->runner = runner;
	return crew;
}

/* What a worker packs of all networks; less than all their weights. */
static Size
packed_bytes(const SlCrew *crew)
{
	Size total = 0;

	for (int i = 0; i < crew->networks; i++)
		total += sizeof(float) * model_of(crew, i)->net.params.total;
	return total;
}

/* Processes that may work at once, each with so much memory beside what is shared. */
static int
choose_processes(Size shared, Size each)
{
	Size limit = (Size) sl_memory_limit * 1024;
	int processes = Min(sl_workers_processors(), sl_max_workers);

	if (!IsUnderPostmaster || IsParallelWorker() || shared > limit || each == 0)
		return 1;
	return (int) Min((Size) Min(processes, SL_MAX_TEAM), (limit - shared) / each);
}

static void
fill_networks(SlCrew *crew, Size room)
{
	Shared *shared = crew->view.shared;

	memset(shared, 0, sizeof(*shared));
	sl_board_init(&shared->board);
	sl_share_arithmetic(shared->arithmetic);
	shared->limit = (Size) sl_memory_limit * 1024;
	shared->networks = crew->networks;
	shared->room = room;
	for (int i = 0; i < crew->networks; i++)
	{
		const SlModel *model = model_of(crew, i);
		Network *network = &crew->view.network[i];

		network->net = model->net;
		strlcpy(network->arch, model->net.spec.arch->name, sizeof(network->arch));
		network->sequence_length = model->options.sequence_length;
		network->horizon = model->options.horizon;
		memcpy(crew->view.value[i], model->value,
			   sizeof(float) * model->net.params.total);
	}
}

/* Calls others, once, for this offer and those to come, which may be twice as large:
 * sequences have any length. */
static void
start(SlCrew *crew, const SlGroups *groups, int network, Size offer)
{
	Size room = 2 * offer;
	SlArena arena = {NULL, SIZE_MAX, 0};
	float **value = palloc(sizeof(float *) * crew->networks);
	int processes;
	SlTeam *team;

	crew->tried = true;
	(void) lay_out(&arena, crew, room, value);
	if (arena.used == SIZE_MAX)
		return;
	/* the leader has two buffers of its own */
	processes = choose_processes(arena.used + 2 * offer,
								 sl_runner_group_memory(crew->runner[network], groups) +
									 packed_bytes(crew));
	if (processes < 2)
		return;
	crew->workers = sl_workers_begin(&service, processes, arena.used, DEBUG1);
	if (crew->workers == NULL)
		return;
	team = sl_workers_team(crew->workers);
	crew->view = lay_out(&team->shared, crew, room, value);
	fill_networks(crew, room);
}

/* ---- the leader ---- */

static void
fill_offer(SlCrew *crew, int network, int rows, const SlGroups *groups, const SlRows *of)
{
	Shared *shared = crew->view.shared;
	const SlNetSpec *spec = &model_of(crew, network)->net.spec;
	Offer offer;

	shared->network = network;
	shared->rows = rows;
	shared->spans = groups->spans;
	shared->groups = groups->count;
	offer = find_offer(&crew->view);
	memcpy(offer.groups.start, groups->start, sizeof(int) * ((Size) groups->count + 1));
	memcpy(offer.groups.span, groups->span, sizeof(SlSpan) * groups->spans);
	memcpy(offer.x, of->x, sizeof(float) * rows * spec->inputs);
	for (int e = 0; e < spec->embeddings; e++)
		memcpy(offer.code[e], of->code[e], sizeof(int32) * rows);
	if (offer.future != NULL)
		memcpy(offer.future, of->future, sizeof(uint8) * rows);
}

bool
sl_crew_offer(SlCrew *crew, int network, int rows, const SlGroups *groups,
			  const SlRows *of)
{
	const SlNet *net = &model_of(crew, network)->net;
	SlArena size = {NULL, SIZE_MAX, 0};
	MemoryContext old;
	SlTeam *team;

	if (groups->count == 0 || groups->count > SL_MAX_ITEMS)
		return false;
	(void) lay_out_offer(&size, &net->spec, of->future != NULL, rows, groups->spans,
						 groups->count);
	crew->operations += 2.0 * net->params.dense * rows; /* tables are only looked up in */
	old = MemoryContextSwitchTo(crew->context);
	if (!crew->tried && crew->operations >= WORTH_STARTING)
		start(crew, groups, network, size.used);
	MemoryContextSwitchTo(old);
	if (crew->workers == NULL || size.used > crew->view.shared->room)
		return false;
	fill_offer(crew, network, rows, groups, of);
	sl_board_publish(&crew->view.shared->board, groups->count);
	old = MemoryContextSwitchTo(crew->context); /* handles of those who start */
	team = sl_workers_team(crew->workers);
	team->wake(team->arg);
	MemoryContextSwitchTo(old);
	return true;
}

void
sl_crew_finish(SlCrew *crew, float *out)
{
	SlTeam *team = sl_workers_team(crew->workers);
	const Shared *shared = crew->view.shared;
	SlBoard *board = &crew->view.shared->board;
	Offer offer = find_offer(&crew->view);
	int outputs = model_of(crew, shared->network)->net.spec.outputs;

	while (!sl_board_all_done(board))
	{
		int group = sl_board_claim(board);

		if (group < 0)
			group = sl_board_reclaim(board);
		if (group >= 0)
		{
			run_group(crew->runner[shared->network], &offer, group);
			sl_board_finish(board);
			continue;
		}
		CHECK_FOR_INTERRUPTS();
		sl_workers_check(crew->workers);
		team->sleep(team->arg);
	}
	memcpy(out, offer.out, sizeof(float) * (Size) shared->rows * outputs);
}

void
sl_crew_end(SlCrew *crew)
{
	if (crew->workers != NULL)
		sl_workers_end(crew->workers);
}

/* ---- a worker ---- */

static View joined; /* outlives the detach callback */
static int claimed = -1;

static void
end_worker(void)
{
	proc_exit(0);
}

/* The networks with runners of this process's own. */
static SlRunner **
make_runners(SlMember *member)
{
	const Shared *shared = joined.shared;
	SlRunner **runner = palloc(sizeof(SlRunner *) * shared->networks);

	for (int i = 0; i < shared->networks; i++)
	{
		const Network *network = &joined.network[i];
		SlModel *model = palloc0(sizeof(SlModel));

		model->model = "shared";
		model->options.sequence_length = network->sequence_length;
		model->options.horizon = network->horizon;
		model->net = network->net;
		model->net.spec.arch = sl_arch_find(network->arch);
		model->value = joined.value[i];
		sl_worker_check_arithmetic(model->net.spec.arch != NULL);
		sl_runner_pack(model);
		runner[i] = sl_runner_create(model);
		sl_runner_serve(runner[i], shared->limit, member->should_stop, member->arg,
						end_worker);
	}
	return runner;
}

static void
serve(SlMember *member)
{
	SlArena arena = {member->shared, member->size, 0};
	const Shared *shared = (const Shared *) member->shared;
	char arithmetic[SL_ARITHMETIC_MAX];
	SlRunner **runner;

	CurrentMemoryContext = TopMemoryContext;
	sl_share_arithmetic(arithmetic);
	sl_worker_check_arithmetic(strcmp(arithmetic, shared->arithmetic) == 0);
	joined =
		lay_out(&arena, NULL, shared->room, palloc(sizeof(float *) * shared->networks));
	runner = make_runners(member);
	while (!member->should_stop(member->arg))
	{
		Offer offer;

		claimed = sl_board_claim(&joined.shared->board);
		if (claimed < 0)
		{
			member->team.sleep(member->team.arg);
			continue;
		}
		offer = find_offer(&joined);
		run_group(runner[shared->network], &offer, claimed);
		claimed = -1;
		if (sl_board_finish(&joined.shared->board))
			member->team.wake(member->team.arg);
	}
}

/* Gives back what it has claimed, if anything. */
static void
leave(SlMember *member)
{
	if (claimed >= 0)
		sl_board_abandon(&joined.shared->board, member->number, claimed);
	claimed = -1;
}

void
sl_crew_main(Datum arg)
{
	sl_worker_run(arg, serve, leave);
}
