/*
 * source.h: a source named by the user (table, view or query) as SQL.
 */
#ifndef SL_SOURCE_H
#define SL_SOURCE_H

/* What may stand in FROM: "schema"."table", or the query in parentheses. */
extern char *sl_source_sql(const char *source);

/* Whether it is a query, not the name of a table or view. */
extern bool sl_source_is_query(const char *source);

#endif
