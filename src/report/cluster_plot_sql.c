/*
 * cluster_plot_sql.c: plot_elbow(), plot_clusters(), plot_silhouette(): SVG as text, over
 * the functions and tables of clusterings.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "argument.h"
#include "report/cluster_plots.h"
#include "report/read.h"
#include "sessionlen.h"
#include "store/json.h"
#include "store/query.h"
#include "train/source.h"

PG_FUNCTION_INFO_V1(sl_plot_elbow_svg);
PG_FUNCTION_INFO_V1(sl_plot_clusters_svg);
PG_FUNCTION_INFO_V1(sl_plot_silhouette_svg);

#define FETCH 1000
#define MAX_CLUSTERS 65536

/* ---- rows of a query, kept as numbers ---- */

/* Up to three numbers a row, in columns. */
typedef struct Numbers
{
	size_t rows;
	size_t room;
	int columns;
	double *column[3];
} Numbers;

static void
make_room(Numbers *n)
{
	/* sorting and sampling take about as much again */
	Size limit = (Size) sl_memory_limit * 1024 / (2 * n->columns * sizeof(double));
	Size wanted = Min(Max(n->room * 2, 4096), limit);

	if (wanted <= n->room)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("more than %zu points do not fit into sessionlen.memory_limit",
						n->room),
				 errhint("Raise sessionlen.memory_limit.")));
	for (int c = 0; c < n->columns; c++)
		n->column[c] =
			n->room == 0
				? MemoryContextAllocHuge(CurrentMemoryContext, wanted * sizeof(double))
				: repalloc_huge(n->column[c], wanted * sizeof(double));
	n->room = wanted;
}

/* All rows whose columns, float8, are finite. */
static void
read_numbers(Numbers *n, Portal portal)
{
	MemoryContext context = CurrentMemoryContext;
	uint64 got;

	do
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, FETCH);
		MemoryContextSwitchTo(context);
		got = SPI_processed;
		for (uint64 i = 0; i < got; i++)
		{
			bool finite = true;

			if (n->rows == n->room)
				make_room(n);
			for (int c = 0; c < n->columns; c++)
			{
				n->column[c][n->rows] = sl_row_number(SPI_tuptable->vals[i], c + 1);
				finite &= isfinite(n->column[c][n->rows]) != 0;
			}
			n->rows += finite;
		}
		SPI_freetuptable(SPI_tuptable);
	} while (got > 0);
	SPI_cursor_close(portal);
	MemoryContextSwitchTo(context);
}

static Portal
open_query(const char *sql, int count, Oid *types, Datum *args, const char *nulls)
{
	return SPI_cursor_open_with_args(NULL, sql, count, types, args, nulls, true,
									 CURSOR_OPT_NO_SCROLL);
}

/* ---- elbow ---- */

static bool
is_standardized(Jsonb *options)
{
	JsonbValue *value = options && JB_ROOT_IS_OBJECT(options)
							? sl_json_get(&options->root, "standardize")
							: NULL;

	return value && value->type == jbvBool && value->val.boolean;
}

Datum
sl_plot_elbow_svg(PG_FUNCTION_ARGS)
{
	char *source = sl_required_text(fcinfo, 0, "source", NULL);
	StringInfoData svg;
	SlMarkup out = sl_markup_to(&svg);
	Datum args[5];
	char nulls[6] = "     ";
	Numbers n = {.columns = 3};
	SlElbow elbow = {.knee = NAN};

	for (int i = 0; i < 5; i++)
	{
		args[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	initStringInfo(&svg); /* in the caller's context, before SPI has its own */
	SPI_connect();
	read_numbers(
		&n,
		open_query("SELECT k::pg_catalog.float8, inertia, knee::int::pg_catalog.float8"
				   " FROM sessionlen.elbow($1, $2, $3, $4, $5)",
				   5, (Oid[]){TEXTOID, TEXTARRAYOID, INT4OID, INT4OID, JSONBOID}, args,
				   nulls));
	if (n.rows == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is nothing to plot")));
	elbow = (SlElbow){.source = sl_utf8(source),
					  .n = (int) n.rows,
					  .k = n.column[0],
					  .inertia = n.column[1],
					  .knee = NAN,
					  .standardized =
						  !PG_ARGISNULL(4) && is_standardized(PG_GETARG_JSONB_P(4))};
	for (size_t i = 0; i < n.rows; i++)
		if (n.column[2][i] == 1)
			elbow.knee = n.column[0][i];
	sl_plot_elbow(&out, "sl-elbow", &elbow);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(svg.data, svg.len));
}

/* ---- clusters ---- */

typedef struct Clustering
{
	char *source;
	char *key;
	int clusters;
} Clustering;

static Clustering
read_clustering(const char *name, const char *source)
{
	Datum arg = CStringGetTextDatum(name);
	Clustering c;
	HeapTuple row;
	bool isnull;

	sl_query_read(
		"SELECT source, key, k, owner::oid FROM sessionlen.clusterings WHERE name = $1",
		1, (Oid[]){TEXTOID}, &arg);
	if (SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("clustering \"%s\" does not exist", name),
						errhint("See the table sessionlen.clusterings.")));
	row = SPI_tuptable->vals[0];
	/* SQL of another role would run with the caller's rights */
	if (source == NULL && DatumGetObjectId(SPI_getbinval(row, SPI_tuptable->tupdesc, 4,
														 &isnull)) != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only the owner of clustering \"%s\" may leave out source", name),
				 errdetail("Its stored source would run with your rights."),
				 errhint("Give the source: a table, a view or a query.")));
	c.source = source ? pstrdup(source) : SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
	c.key = SPI_getvalue(row, SPI_tuptable->tupdesc, 2);
	c.clusters = DatumGetInt32(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return c;
}

static Numbers
read_points(const char *name, const char *source, const char *key, const char *x,
			const char *y)
{
	Datum arg = CStringGetTextDatum(name);
	Numbers n = {.columns = 3};
	StringInfoData sql;

	/* each quote_identifier() has a result of its own only until it needs no quotes */
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT s.%s::pg_catalog.float8,", quote_identifier(x));
	appendStringInfo(&sql, " s.%s::pg_catalog.float8, l.cluster::pg_catalog.float8",
					 quote_identifier(y));
	appendStringInfo(&sql, " FROM %s s JOIN sessionlen.cluster_labels l",
					 sl_source_sql(source));
	appendStringInfo(&sql,
					 " ON l.key OPERATOR(pg_catalog.=) s.%s::pg_catalog.text"
					 " WHERE l.name OPERATOR(pg_catalog.=) $1",
					 quote_identifier(key));
	appendStringInfoString(&sql, " ORDER BY l.key COLLATE pg_catalog.\"C\"");
	read_numbers(&n, open_query(sql.data, 1, (Oid[]){TEXTOID}, &arg, NULL));
	return n;
}

/* What an axis shows, and whether the values crowd at its low end. */
static void
fit_axis(SlCloud *cloud, const Numbers *n, int axis)
{
	double *sorted =
		MemoryContextAllocHuge(CurrentMemoryContext, n->rows * sizeof(double));

	memcpy(sorted, n->column[axis], n->rows * sizeof(double));
	sl_sort_values(sorted, n->rows);
	cloud->low[axis] = sorted[0];
	cloud->high[axis] = sorted[n->rows - 1];
	cloud->logarithmic[axis] = sl_is_heavy_tailed(sorted, n->rows) && sorted[0] > 0;
	pfree(sorted);
}

/* The middle of each cluster: the mean of all its points. */
static void
find_centers(SlCloud *cloud, const Numbers *n)
{
	cloud->size = palloc0(sizeof(double) * cloud->clusters);
	cloud->center_x = palloc0(sizeof(double) * cloud->clusters);
	cloud->center_y = palloc0(sizeof(double) * cloud->clusters);
	for (size_t i = 0; i < n->rows; i++)
	{
		int c = (int) n->column[2][i];

		if (c < 0 || c >= cloud->clusters)
			continue;
		/* running means do not overflow */
		cloud->size[c]++;
		cloud->center_x[c] += (n->column[0][i] - cloud->center_x[c]) / cloud->size[c];
		cloud->center_y[c] += (n->column[1][i] - cloud->center_y[c]) / cloud->size[c];
	}
	for (int c = 0; c < cloud->clusters; c++)
		if (cloud->size[c] == 0)
			cloud->center_x[c] = cloud->center_y[c] = NAN;
}

SlCloud *
sl_read_cloud(const char *name, const char *source, const char *key, int clusters,
			  const char *x, const char *y)
{
	SlCloud *cloud = palloc(sizeof(SlCloud));
	size_t *drawn = palloc(sizeof(size_t) * SL_DRAWN_ROWS);
	Numbers n;

	if (clusters > MAX_CLUSTERS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("clustering \"%s\" has too many clusters to plot", name),
						errdetail("It has %d; a plot shows at most %d.", clusters,
								  MAX_CLUSTERS)));
	n = read_points(name, source, key, x, y);
	if (n.rows == 0)
		return NULL;
	*cloud = (SlCloud){.name = sl_utf8(name),
					   .x_name = sl_utf8(x),
					   .y_name = sl_utf8(y),
					   .all = n.rows,
					   .points = sl_sample_rows(n.rows, SL_DRAWN_ROWS, drawn),
					   .clusters = clusters};
	fit_axis(cloud, &n, 0);
	fit_axis(cloud, &n, 1);
	find_centers(cloud, &n);
	cloud->x = palloc(sizeof(double) * cloud->points);
	cloud->y = palloc(sizeof(double) * cloud->points);
	cloud->cluster = palloc(sizeof(int) * cloud->points);
	for (size_t i = 0; i < cloud->points; i++)
	{
		cloud->x[i] = n.column[0][drawn[i]];
		cloud->y[i] = n.column[1][drawn[i]];
		cloud->cluster[i] = (int) n.column[2][drawn[i]];
	}
	return cloud;
}

Datum
sl_plot_clusters_svg(PG_FUNCTION_ARGS)
{
	char *name = sl_required_text(fcinfo, 0, "name", NULL);
	char *x = sl_required_text(fcinfo, 1, "x", NULL);
	char *y = sl_required_text(fcinfo, 2, "y", NULL);
	StringInfoData svg;
	SlMarkup out = sl_markup_to(&svg);
	Clustering clustering;
	SlCloud *cloud;

	initStringInfo(&svg);
	SPI_connect();
	clustering = read_clustering(name, sl_text_argument(fcinfo, 3));
	cloud =
		sl_read_cloud(name, clustering.source, clustering.key, clustering.clusters, x, y);
	if (cloud == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("clustering \"%s\" has nothing to plot", name),
			 errdetail("The source has no row with one of its keys and both columns.")));
	sl_plot_cloud(&out, "sl-clusters", cloud);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(svg.data, svg.len));
}

/* ---- silhouettes ---- */

Datum
sl_plot_silhouette_svg(PG_FUNCTION_ARGS)
{
	char *name = sl_required_text(fcinfo, 0, "name", NULL);
	Datum arg = CStringGetTextDatum(name);
	StringInfoData svg;
	SlMarkup out = sl_markup_to(&svg);
	Numbers n = {.columns = 2};
	SlSilhouettes s;

	initStringInfo(&svg);
	SPI_connect();
	read_numbers(
		&n,
		open_query(
			"SELECT silhouette, cluster::pg_catalog.float8 FROM sessionlen.silhouette($1)"
			" ORDER BY cluster, silhouette DESC",
			1, (Oid[]){TEXTOID}, &arg, NULL));
	if (n.rows == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("clustering \"%s\" has no silhouettes", name),
						errdetail("It has a single cluster, or no points.")));
	s = (SlSilhouettes){.name = sl_utf8(name), .points = n.rows, .value = n.column[0]};
	for (size_t i = 0; i < n.rows; i++)
	{
		s.clusters += i == 0 || n.column[1][i] != n.column[1][i - 1];
		s.mean += (n.column[0][i] - s.mean) / (double) (i + 1);
	}
	s.number = palloc(sizeof(int) * s.clusters);
	s.start = palloc(sizeof(size_t) * (s.clusters + 1));
	s.clusters = 0;
	for (size_t i = 0; i < n.rows; i++)
		if (i == 0 || n.column[1][i] != n.column[1][i - 1])
		{
			s.number[s.clusters] = (int) n.column[1][i];
			s.start[s.clusters++] = i;
		}
	s.start[s.clusters] = n.rows;
	sl_plot_silhouettes(&out, "sl-silhouette", &s);
	SPI_finish();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(svg.data, svg.len));
}
