/*
 * clusters_sql.c: the part of a model's page about the clusters it has networks for.
 *
 * A model keeps its users' labels.  What is shown of the clusters themselves is of the
 * clustering as it is now, and only if it is the caller's own: its stored source is run.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "report/page.h"
#include "store/query.h"

/* Means of at most so many columns are shown. */
#define SHOWN_COLUMNS 8

typedef struct Fitted
{
	char *name;
	char *method;
	int clusters;
	char *source; /* as the server spells it; NULL: there is no such clustering */
	char *key;
	int columns;
	char **column; /* as the server spells them */
	bool own;
	bool again; /* fitted after the model was trained */
} Fitted;

static char *
server_text(HeapTuple row, int column)
{
	return SPI_getvalue(row, SPI_tuptable->tupdesc, column);
}

static void
read_columns(Fitted *f)
{
	Datum arg = CStringGetTextDatum(f->name);

	sl_query_read("SELECT c FROM sessionlen.clusterings,"
				  " pg_catalog.unnest(columns) WITH ORDINALITY u(c, place)"
				  " WHERE name = $1 ORDER BY place",
				  1, (Oid[]){TEXTOID}, &arg);
	f->columns = (int) SPI_processed;
	f->column = palloc(sizeof(char *) * (f->columns + 1));
	for (int i = 0; i < f->columns; i++)
		f->column[i] = server_text(SPI_tuptable->vals[i], 1);
	SPI_freetuptable(SPI_tuptable);
}

static Fitted
read_fitted(const SlReported *r)
{
	Datum args[] = {CStringGetTextDatum(r->name), Int32GetDatum(r->version)};
	Fitted f = {0};
	HeapTuple row;

	sl_query_read("SELECT v.clusters, c.method, c.k::text, c.source, c.key,"
				  " c.owner = current_user::regrole, c.created_at > v.trained_at"
				  " FROM sessionlen.model_versions v LEFT JOIN sessionlen.clusterings c"
				  " ON c.name = v.clusters WHERE v.model = $1 AND v.version = $2",
				  2, (Oid[]){TEXTOID, INT4OID}, args);
	if (SPI_processed != 1)
		return f;
	row = SPI_tuptable->vals[0];
	f.name = server_text(row, 1);
	f.source = server_text(row, 4);
	if (f.name != NULL && f.source != NULL)
	{
		f.method = server_text(row, 2);
		f.clusters = atoi(server_text(row, 3));
		f.key = server_text(row, 5);
		f.own = strcmp(server_text(row, 6), "t") == 0;
		f.again = strcmp(server_text(row, 7), "t") == 0;
	}
	SPI_freetuptable(SPI_tuptable);
	if (f.source)
		read_columns(&f);
	return f;
}

bool
sl_page_has_clusters(const SlReported *reported)
{
	return read_fitted(reported).name != NULL;
}

/* The first two columns, of which there must be as many. */
static void
draw(SlHtml *page, const Fitted *f)
{
	SlCloud *cloud = NULL;

	if (f->columns < 2)
		return;
	if (f->own && !sl_source_is_gone(f->source))
		cloud = sl_read_cloud(f->name, f->source, f->key, f->clusters, f->column[0],
							  f->column[1]);
	if (cloud == NULL)
	{
		sl_html_paragraph(page, "note",
						  f->own
							  ? "The points can\u2019t be drawn: the source is gone, or "
								"has none of the keys."
							  : "The points are not drawn: another role\u2019s source "
								"would have to run with your rights.");
		return;
	}
	sl_html_figure(page);
	sl_plot_cloud(&page->out, "sl-clusters", cloud);
	sl_html_figure_end(
		page,
		psprintf(
			"%s and %s of %s keys, coloured by cluster; the numbers stand at the "
			"means.%s",
			cloud->x_name, cloud->y_name, sl_count_text((int64) cloud->all),
			cloud->points < cloud->all
				? psprintf(" %s of them are drawn.", sl_count_text((int64) cloud->points))
				: ""));
}

/* Sizes, and the mean of each column. */
static void
table_of_clusters(SlHtml *page, const SlReported *r, const Fitted *f)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT z.cluster::text AS cluster, z.size");
	for (int i = 0; i < f->columns && i < SHOWN_COLUMNS; i++)
		appendStringInfo(&sql, ", z.centroid[%d] AS %s", i + 1,
						 quote_identifier(f->column[i]));
	appendStringInfoString(&sql,
						   " FROM sessionlen.model_versions v JOIN"
						   " sessionlen.cluster_centroids z ON z.name = v.clusters"
						   " WHERE v.model = $1 AND v.version = $2 ORDER BY z.cluster");
	sl_page_query(
		page,
		f->columns > SHOWN_COLUMNS
			? psprintf("Sizes, and means of the first %d columns", SHOWN_COLUMNS)
			: "Sizes, and means of the columns",
		sql.data, r);
}

void
sl_page_clusters(SlHtml *page, const SlReported *reported)
{
	Fitted f = read_fitted(reported);

	sl_html_section(page, "clusters", "Clusters");
	if (f.source == NULL)
		sl_html_paragraph(page, NULL,
						  psprintf("Trained with the clustering %s, which is gone or not "
								   "yours; the model has its labels.",
								   sl_utf8(f.name)));
	else
	{
		sl_html_paragraph(
			page, NULL,
			psprintf("The clustering %s: %s, %d clusters.%s", sl_utf8(f.name),
					 strcmp(f.method, "kmeans") == 0 ? "k-means" : f.method, f.clusters,
					 f.again
						 ? " It was fitted again since: the model keeps the labels it "
						   "was trained with, below are those of now."
						 : ""));
		draw(page, &f);
		table_of_clusters(page, reported, &f);
	}
	sl_html_section_end(page);
}
