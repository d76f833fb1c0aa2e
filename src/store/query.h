/*
 * query.h: one SPI call on our own tables (SPI must be connected), and what a call site
 * may keep from one call to the next.
 */
#ifndef SL_QUERY_H
#define SL_QUERY_H

#include "executor/spi.h"

/* Runs a statement with parameters; nulls as for SPI_execute_with_args, or NULL.  Rows
 * are in SPI_tuptable. */
extern void sl_query(const char *sql, int count, Oid *types, Datum *args,
					 const char *nulls);

/* The same for a SELECT that sees what the calling statement sees. */
extern void sl_query_read(const char *sql, int count, Oid *types, Datum *args);

/*
 * Tells snapshots and roles apart that may see different rows.  A call site can outlive
 * its statement: PL/pgSQL keeps those of simple expressions for a whole transaction.
 */
extern uint64 sl_snapshot_moment(void);

#endif
