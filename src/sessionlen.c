/*
 * sessionlen.c: the module's magic block, load hook, settings and build_info().
 */
#include "postgres.h"

#include <limits.h>

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "nn/blas.h"
#include "nn/kernel.h"
#include "sessionlen.h"
#include "train/team.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(sl_build_info);

int sl_memory_limit = 2 * 1024 * 1024;
int sl_max_workers = 4;

void _PG_init(void);

void
_PG_init(void)
{
	DefineCustomIntVariable(
		"sessionlen.memory_limit", "Memory one training or batch prediction may use.",
		"Needs are estimated first; what would take more is refused.", &sl_memory_limit,
		2 * 1024 * 1024, 1024, INT_MAX, PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"sessionlen.max_workers",
		"Processes that may compute one training or batch prediction.",
		"The session's own is one of them; the others are background workers.",
		&sl_max_workers, 4, 1, SL_MAX_TEAM, PGC_SUSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("sessionlen");
}

/* build_info(): what the numbers of this installation are made with. */
Datum
sl_build_info(PG_FUNCTION_ARGS)
{
	TupleDesc desc;
	bool loaded = sl_blas_load();
	Datum values[5] = {0};
	bool nulls[5] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "build_info() must return a row");
	values[0] = CStringGetTextDatum(SL_VERSION);
	values[1] = CStringGetTextDatum(loaded ? sl_blas_version() : sl_blas_error());
	nulls[2] = nulls[3] = !loaded;
	if (loaded)
	{
		values[2] = CStringGetTextDatum(sl_blas_kernel());
		values[3] = Int32GetDatum(sl_blas_threads());
	}
	values[4] = CStringGetTextDatum(sl_kernel_name());
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
