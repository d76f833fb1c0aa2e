/*
 * sessionlen.c: the module's magic block, load hook and settings.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
	MarkGUCPrefixReserved("sessionlen");
}
