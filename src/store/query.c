#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "store/query.h"

int
sl_pin_search_path(void)
{
	int level = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

void
sl_unpin_search_path(int level)
{
	AtEOXact_GUC(false, level);
}

static void
execute(const char *sql, int count, Oid *types, Datum *args, const char *nulls,
		bool read_only)
{
	MemoryContext context = CurrentMemoryContext;
	int pinned = sl_pin_search_path();
	int code = SPI_execute_with_args(sql, count, types, args, nulls, read_only, 0);

	sl_unpin_search_path(pinned);
	MemoryContextSwitchTo(context); /* SPI leaves its own as the current one */
	if (code < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(code));
}

void
sl_query(const char *sql, int count, Oid *types, Datum *args, const char *nulls)
{
	execute(sql, count, types, args, nulls, false);
}

void
sl_query_read(const char *sql, int count, Oid *types, Datum *args)
{
	execute(sql, count, types, args, NULL, true);
}

/* construct_array() would take a Datum for each. */
ArrayType *
sl_number_array(Oid type, const void *data, int n)
{
	Size width = type == FLOAT4OID ? sizeof(float) : sizeof(double);
	Size bytes = ARR_OVERHEAD_NONULLS(1) + width * (Size) n;
	ArrayType *array = palloc0(bytes);

	SET_VARSIZE(array, bytes);
	array->ndim = 1;
	array->elemtype = type;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	if (data != NULL)
		memcpy(ARR_DATA_PTR(array), data, width * (Size) n);
	return array;
}

uint64
sl_snapshot_moment(void)
{
	Snapshot s = GetActiveSnapshot();
	uint64 moment = hash_combine64(hash_combine64(s->xmin, s->xmax), s->curcid);

	moment = hash_combine64(moment, GetUserId());
	if (s->xcnt > 0)
		moment ^= hash_bytes_extended((const unsigned char *) s->xip,
									  sizeof(TransactionId) * s->xcnt, 0);
	if (s->subxcnt > 0)
		moment ^= hash_bytes_extended((const unsigned char *) s->subxip,
									  sizeof(TransactionId) * s->subxcnt, 1);
	return moment;
}
