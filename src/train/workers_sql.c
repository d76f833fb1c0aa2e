/*
 * workers_sql.c: dynamic background workers over a segment of dynamic shared memory.
 *
 * Workers have no connection to a database: they run the core's code on what is in the
 * segment, and nothing else.  The segment starts with a header of ours; the rest is the
 * team's memory.
 *
 * However the leader ends (the training is over, an error, a cancel, its own end), the
 * segment's detach callback tells the workers to quit; they look every few milliseconds.
 * However a worker ends, its callback gives back what it was at work on, and the leader
 * goes on without it.  The segment goes with the last process.
 */
#include "postgres.h"

#include <sched.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"

#include "nn/blas.h"
#include "train/workers.h"

/* A leader looks this often for what nobody tells it. */
#define LEADER_NAP 100L /* ms */

typedef struct Header
{
	PGPROC *leader;
	size_t size;		   /* of the team's memory */
	_Atomic uint32_t quit; /* the leader is done with this */
	/* by member; NULL: not there */
	_Atomic(PGPROC *) member[SL_MAX_TEAM];
} Header;

#define HEADER_BYTES MAXALIGN(TYPEALIGN(SL_ALIGN, sizeof(Header)))

struct SlWorkers
{
	SlTeam team;
	const SlService *service;
	dsm_segment *segment;
	Header *header;
	int processes;
	int elevel;
	bool started;
	BackgroundWorkerHandle *handle[SL_MAX_TEAM];
};

int
sl_workers_processors(void)
{
#ifdef CPU_COUNT
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return CPU_COUNT(&set);
#endif
	return (int) Max(sysconf(_SC_NPROCESSORS_ONLN), 1);
}

double
sl_workers_now(void *arg)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return INSTR_TIME_GET_DOUBLE(now);
}

/* ---- the leader ---- */

static void
wake_members(Header *header)
{
	for (int i = 1; i < SL_MAX_TEAM; i++)
	{
		PGPROC *proc = atomic_load(&header->member[i]);

		if (proc != NULL)
			SetLatch(&proc->procLatch);
	}
}

static void
leader_detach(dsm_segment *segment, Datum arg)
{
	Header *header = dsm_segment_address(segment);

	atomic_store(&header->quit, 1);
	wake_members(header);
}

static void
start_members(SlWorkers *workers)
{
	BackgroundWorker worker = {.bgw_flags = BGWORKER_SHMEM_ACCESS,
							   .bgw_start_time = BgWorkerStart_ConsistentState,
							   .bgw_restart_time = BGW_NEVER_RESTART,
							   .bgw_library_name = "sessionlen",
							   .bgw_type = "sessionlen worker",
							   .bgw_main_arg =
								   UInt32GetDatum(dsm_segment_handle(workers->segment)),
							   .bgw_notify_pid = MyProcPid};

	workers->started = true;
	strlcpy(worker.bgw_function_name, workers->service->function, BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "sessionlen worker for PID %d", MyProcPid);
	for (int i = 1; i < workers->processes; i++)
	{
		memcpy(worker.bgw_extra, &i, sizeof(i));
		if (RegisterDynamicBackgroundWorker(&worker, &workers->handle[i]))
			continue;
		ereport(workers->elevel,
				(errmsg("%s goes on with %d of %d workers", workers->service->doing, i,
						workers->processes),
				 errdetail("No slot for a background worker is free."),
				 errhint("Raise max_worker_processes, or ask for fewer workers.")));
		break;
	}
}

static void
leader_wake(void *arg)
{
	SlWorkers *workers = arg;

	if (!workers->started)
		start_members(workers);
	wake_members(workers->header);
}

static void
leader_sleep(void *arg)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LEADER_NAP,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

/*
 * A segment, or NULL with the reason.  What is caught here has taken no lock, and the
 * descriptor it leaves behind goes with the resource owner.
 */
static dsm_segment *
create_segment(size_t bytes, char **reason)
{
	MemoryContext context = CurrentMemoryContext;
	dsm_segment *volatile segment = NULL;

	*reason = "Too many segments of dynamic shared memory are in use.";
	PG_TRY();
	{
		segment = dsm_create(bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			PG_RE_THROW();
		FlushErrorState();
		*reason = psprintf("%s.", error->message);
		(*reason)[0] = pg_toupper((unsigned char) (*reason)[0]);
	}
	PG_END_TRY();
	return segment;
}

SlWorkers *
sl_workers_begin(const SlService *service, int processes, size_t shared, int elevel)
{
	char *reason;
	dsm_segment *segment = create_segment(HEADER_BYTES + shared, &reason);
	SlWorkers *workers;

	if (segment == NULL)
	{
		ereport(elevel,
				(errmsg("%s goes on with 1 of %d workers", service->doing, processes),
				 errdetail("%s", reason)));
		return NULL;
	}
	workers = palloc0(sizeof(SlWorkers));
	workers->service = service;
	workers->segment = segment;
	workers->header = dsm_segment_address(segment);
	workers->processes = processes;
	workers->elevel = elevel;
	workers->team = (SlTeam){
		.arg = workers,
		.shared = {(char *) workers->header + HEADER_BYTES, shared, 0},
		.wake = leader_wake,
		.sleep = leader_sleep,
	};
	memset(workers->header, 0, sizeof(Header));
	workers->header->leader = MyProc;
	workers->header->size = shared;
	on_dsm_detach(segment, leader_detach, (Datum) 0);
	return workers;
}

SlTeam *
sl_workers_team(SlWorkers *workers)
{
	return &workers->team;
}

void
sl_workers_check(SlWorkers *workers)
{
	for (int i = 1; i < workers->processes; i++)
	{
		pid_t pid;

		if (workers->handle[i] == NULL ||
			GetBackgroundWorkerPid(workers->handle[i], &pid) != BGWH_STOPPED)
			continue;
		pfree(workers->handle[i]);
		workers->handle[i] = NULL;
		ereport(workers->elevel,
				(errmsg("a %s worker has ended early", workers->service->doing),
				 errdetail("The other processes do its work; the result is the same."),
				 errhint("The server's log may tell why.")));
	}
}

void
sl_workers_end(SlWorkers *workers)
{
	sl_workers_check(workers);
	dsm_detach(workers->segment);
	/* their slots are free for the next team */
	for (int i = 1; i < workers->processes; i++)
		if (workers->handle[i] != NULL)
			(void) WaitForBackgroundWorkerShutdown(workers->handle[i]);
}

/* ---- a worker ---- */

typedef struct Worker
{
	Header *header;
	SlMember member;
	void (*leave)(SlMember *member);
} Worker;

static void
worker_wake(void *arg)
{
	Worker *worker = arg;

	SetLatch(&worker->header->leader->procLatch);
}

static void
worker_sleep(void *arg)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1L, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

static bool
worker_should_stop(void *arg)
{
	Worker *worker = arg;

	return atomic_load(&worker->header->quit) != 0 || ProcDiePending ||
		   !PostmasterIsAlive();
}

static void
worker_detach(dsm_segment *segment, Datum arg)
{
	Worker *worker = (Worker *) DatumGetPointer(arg);

	atomic_store(&worker->header->member[worker->member.number], NULL);
	worker->leave(&worker->member);
	if (atomic_load(&worker->header->quit) == 0)
		worker_wake(worker);
}

void
sl_worker_check_arithmetic(bool same)
{
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("worker does not compute as its leader does"),
						errdetail("It has %s, kernel %s.", sl_blas_version(),
								  sl_blas_kernel())));
}

void
sl_worker_run(Datum arg, void (*serve)(SlMember *member), void (*leave)(SlMember *member))
{
	static Worker worker; /* outlives the detach callback */
	dsm_segment *segment;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	segment = dsm_attach(DatumGetUInt32(arg));
	if (segment == NULL)
		return; /* the work is over */
	worker.header = dsm_segment_address(segment);
	worker.leave = leave;
	worker.member = (SlMember){
		.team = {.arg = &worker, .wake = worker_wake, .sleep = worker_sleep},
		.should_stop = worker_should_stop,
		.arg = &worker,
		.shared = (char *) worker.header + HEADER_BYTES,
		.size = worker.header->size,
	};
	memcpy(&worker.member.number, MyBgworkerEntry->bgw_extra, sizeof(int));
	on_dsm_detach(segment, worker_detach, PointerGetDatum(&worker));
	atomic_store(&worker.header->member[worker.member.number], MyProc);
	if (atomic_load(&worker.header->quit) == 0)
		serve(&worker.member);
	CHECK_FOR_INTERRUPTS();
}
