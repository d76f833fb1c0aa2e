/*
 * query.h: one SPI call on our own tables (SPI must be connected), arrays for it, and
 * what a call site may keep from one call to the next.
 */
#ifndef SL_QUERY_H
#define SL_QUERY_H

#include "executor/spi.h"
#include "utils/array.h"

/*
 * Our own statements, which read nothing but our own tables, mean pg_catalog's operators,
 * functions and types, whatever stands before it in the caller's search_path.  The path
 * that was pinned holds until it is let go or the (sub)transaction ends in an error.
 * Statements that run the caller's SQL need the caller's path and spell names in full.
 */
extern int sl_pin_search_path(void);
extern void sl_unpin_search_path(int level);

/* Runs a statement, its path pinned, with parameters; nulls as for SPI_execute_with_args,
 * or NULL.  Rows are in SPI_tuptable. */
extern void sl_query(const char *sql, int count, Oid *types, Datum *args,
					 const char *nulls);

/* The same for a SELECT that sees what the calling statement sees. */
extern void sl_query_read(const char *sql, int count, Oid *types, Datum *args);

/* A real[] or float8[] of n numbers, copied; data NULL: zeros. */
extern ArrayType *sl_number_array(Oid type, const void *data, int n);

/*
 * Tells snapshots and roles apart that may see different rows.  A call site can outlive
 * its statement: PL/pgSQL keeps those of simple expressions for a whole transaction.
 */
extern uint64 sl_snapshot_moment(void);

#endif
