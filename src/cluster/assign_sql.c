/*
 * assign_sql.c: assign_cluster(): the cluster of a row.
 *
 * What it takes to answer is loaded once for a call site and kept while the statement's
 * snapshot is the same.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "cluster/cluster_sql.h"
#include "cluster/neighbours.h"
#include "store/query.h"
#include "train/value.h"

PG_FUNCTION_INFO_V1(sl_assign_cluster);

/* Fitted points that decide where a new one belongs. */
#define VOTERS 10

/* All but the struct itself is in context, which is reset for another clustering. */
typedef struct Site
{
	MemoryContext context;
	uint64 moment;
	char *name;
	SlClustering *clustering;
	double *centroid; /* k-means: [k x columns] */
	SlTree tree;	  /* spectral: the fitted points */
	int32 *label;
	double *point; /* [columns] the row's */
	/* how the rows given map to columns */
	Oid row_type;
	int32 row_typmod;
	TupleDesc desc;
	int *attribute; /* from 1 */
	SlValueReader *reader;
} Site;

/* The fitted points in a tree. */
static void
load_tree(Site *site)
{
	SlPoints points = {.columns = site->clustering->columns};
	SlArena arena = {NULL, SIZE_MAX, 0};
	double *x;

	points.count = sl_clustering_points(site->clustering, &x, &site->label);
	points.x = x;
	(void) sl_tree_build(&points, NULL, &arena, &site->tree);
	(void) sl_cluster_arena(&arena, arena.used,
							sizeof(double) * (Size) points.count * points.columns,
							"assign_cluster()");
	sl_cluster_check_status(
		sl_tree_build(&points, &sl_cluster_stop, &arena, &site->tree));
	pfree(x);
}

static void
open_site(Site *site, text *arg)
{
	char *name = text_to_cstring(arg);
	uint64 moment = sl_snapshot_moment();
	MemoryContext old;

	if (site->name != NULL && strcmp(site->name, name) == 0 && site->moment == moment)
	{
		pfree(name);
		return;
	}
	site->name = NULL; /* until all is done */
	MemoryContextReset(site->context);
	site->row_type = InvalidOid;
	site->desc = NULL;
	SPI_connect();
	old = MemoryContextSwitchTo(site->context);
	site->clustering = sl_clustering_load(name);
	if (site->clustering->method == SL_METHOD_KMEANS)
		site->centroid = sl_clustering_centroids(site->clustering);
	else
		load_tree(site);
	site->point = palloc(sizeof(double) * site->clustering->columns);
	site->attribute = palloc0(sizeof(int) * site->clustering->columns);
	site->reader = palloc0(sizeof(SlValueReader) * site->clustering->columns);
	site->moment = moment;
	site->name = pstrdup(name);
	MemoryContextSwitchTo(old);
	SPI_finish();
	pfree(name);
}

static Site *
get_site(FunctionCallInfo fcinfo, text *name)
{
	Site *site = fcinfo->flinfo->fn_extra;

	if (site == NULL)
	{
		site = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Site));
		site->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt,
											  "sessionlen assign", ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = site;
	}
	open_site(site, name);
	return site;
}

/* Finds the clustering's columns in rows of this type. */
static void
map_row_type(Site *site, HeapTupleHeader row)
{
	const SlClustering *c = site->clustering;
	Oid type = HeapTupleHeaderGetTypeId(row);
	int32 typmod = HeapTupleHeaderGetTypMod(row);
	MemoryContext old;

	if (type == site->row_type && typmod == site->row_typmod)
		return;
	site->row_type = InvalidOid; /* until all columns are found */
	if (site->desc != NULL)
		FreeTupleDesc(site->desc);
	site->desc = NULL;
	old = MemoryContextSwitchTo(site->context);
	site->desc = lookup_rowtype_tupdesc_copy(type, typmod);
	for (int i = 0; i < c->columns; i++)
	{
		site->attribute[i] = sl_value_column(site->desc, c->names[i], &site->reader[i]);
		if (site->attribute[i] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the row has no column \"%s\"", c->names[i]),
					 errdetail("Clustering \"%s\" was made with it.", c->name),
					 errhint("Pass the whole row, as in assign_cluster('%s', s) for "
							 "FROM ... AS s.",
							 c->name)));
	}
	MemoryContextSwitchTo(old);
	site->row_type = type;
	site->row_typmod = typmod;
}

/* The row's point, standardised as the fitted ones; false if a column is NULL. */
static bool
read_row(Site *site, HeapTupleHeader row)
{
	const SlClustering *c = site->clustering;
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(row), .t_data = row};

	map_row_type(site, row);
	ItemPointerSetInvalid(&tuple.t_self);
	for (int i = 0; i < c->columns; i++)
	{
		bool isnull;
		Datum value = heap_getattr(&tuple, site->attribute[i], site->desc, &isnull);
		double x;

		if (isnull)
			return false;
		x = sl_value_number(&site->reader[i], value, c->names[i]);
		site->point[i] = c->mean ? (x - c->mean[i]) / c->deviation[i] : x;
	}
	return true;
}

Datum
sl_assign_cluster(PG_FUNCTION_ARGS)
{
	Site *site = get_site(fcinfo, PG_GETARG_TEXT_PP(0));
	SlNeighbour near[VOTERS];
	int n;

	if (!read_row(site, PG_GETARG_HEAPTUPLEHEADER(1)))
		PG_RETURN_NULL();
	if (site->clustering->method == SL_METHOD_KMEANS)
		PG_RETURN_INT32(sl_nearest_centroid(site->point, site->clustering->columns,
											site->centroid, site->clustering->k));
	n = sl_tree_nearest(&site->tree, site->point, -1, VOTERS, near);
	PG_RETURN_INT32(sl_vote(near, n, site->label));
}
