/*
 * served.c: a cache of loaded versions by their id.  Deploying, dropping or retraining
 * changes which id serves, so a look-up at the start of each statement is all the
 * invalidation there is.  An entry that no longer serves goes once no statement uses it.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "lib/ilist.h"
#include "utils/memutils.h"

#include "predict/runner.h"
#include "predict/served.h"
#include "sessionlen.h"

typedef struct Served
{
	dlist_node node;
	MemoryContext context;
	SlModel *model;
	Size bytes;
	int users;	/* statements that hold it */
	bool stale; /* another version serves */
} Served;

typedef struct Hold
{
	MemoryContextCallback callback;
	Served *served;
} Hold;

static dlist_head cache = DLIST_STATIC_INIT(cache);

static void
forget(Served *served)
{
	dlist_delete(&served->node);
	MemoryContextDelete(served->context);
}

static void
release(void *arg)
{
	Served *served = ((Hold *) arg)->served;

	if (--served->users == 0 && served->stale)
		forget(served);
}

/* Older versions of the model go, and whatever is idle while too much is kept. */
static void
make_room(const Served *keep)
{
	dlist_mutable_iter it;
	Size kept = 0;

	dlist_foreach_modify(it, &cache)
	{
		Served *served = dlist_container(Served, node, it.cur);

		if (served != keep && strcmp(served->model->model, keep->model->model) == 0)
			served->stale = true;
		kept += served->bytes;
		if (served != keep && served->users == 0 &&
			(served->stale || kept > (Size) sl_memory_limit * 1024))
		{
			kept -= served->bytes;
			forget(served);
		}
	}
}

static Served *
load(const char *model, int version)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen model", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Served *served = palloc0(sizeof(Served));

	served->context = context;
	served->model = sl_store_load(model, version);
	sl_runner_pack(served->model);
	for (int i = 0; i < served->model->clusters; i++)
		sl_runner_pack(served->model->network[i]);
	served->bytes = MemoryContextMemAllocated(context, true);
	MemoryContextSwitchTo(old);
	/* only now that nothing can fail any more it outlives the statement */
	MemoryContextSetParent(context, TopMemoryContext);
	dlist_push_head(&cache, &served->node);
	make_room(served);
	return served;
}

static Served *
find(const pg_uuid_t *id)
{
	dlist_iter it;

	dlist_foreach(it, &cache)
	{
		Served *served = dlist_container(Served, node, it.cur);

		if (memcmp(&served->model->id, id, sizeof(*id)) == 0)
			return served;
	}
	return NULL;
}

const SlModel *
sl_served_get(const char *model, MemoryContext user)
{
	int version = 0;
	pg_uuid_t id;
	Served *served;
	Hold *hold;

	SPI_connect();
	(void) sl_store_blas();
	sl_store_lookup(model, &version, &id);
	served = find(&id);
	if (served == NULL)
		served = load(model, version);
	SPI_finish();

	hold = MemoryContextAllocZero(user, sizeof(Hold));
	hold->served = served;
	hold->callback.func = release;
	hold->callback.arg = hold;
	MemoryContextRegisterResetCallback(user, &hold->callback);
	served->users++;
	served->stale = false;
	return served->model;
}
