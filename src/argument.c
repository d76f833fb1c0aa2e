#include "postgres.h"

#include "utils/builtins.h"

#include "argument.h"

char *
sl_text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

char *
sl_required_text(FunctionCallInfo fcinfo, int number, const char *name, const char *hint)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name), hint ? errhint("%s", hint) : 0));
	return sl_text_argument(fcinfo, number);
}

MemoryContext
sl_aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "support function of an aggregate called outside of one");
	return context;
}
