#include "postgres.h"

#include "executor/spi.h"

#include "store/query.h"

static void
execute(const char *sql, int count, Oid *types, Datum *args, const char *nulls, bool read_only)
{
	MemoryContext context = CurrentMemoryContext;
	int code = SPI_execute_with_args(sql, count, types, args, nulls, read_only, 0);

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
