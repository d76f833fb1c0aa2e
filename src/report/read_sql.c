/*
 * read_sql.c: reads what reports and plots show.
 *
 * predictions() runs once for everything drawn and counted.  Of each row only the
 * numbers are kept, 64 bytes with the room to sort; keys only of the few that are shown.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/regproc.h"

#include "report/read.h"
#include "sessionlen.h"
#include "store/query.h"
#include "store/store.h"
#include "train/source.h"

#define FETCH 1000

/* ---- texts and numbers of rows ---- */

char *
sl_utf8(const char *text)
{
	/* bytes of no known encoding stay: the escaping checks them */
	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return pstrdup(text);
	return pstrdup(pg_server_to_any(text, strlen(text), PG_UTF8));
}

char *
sl_row_text(HeapTuple row, int column)
{
	char *text = SPI_getvalue(row, SPI_tuptable->tupdesc, column);

	return text ? sl_utf8(text) : NULL;
}

double
sl_row_number(HeapTuple row, int column)
{
	bool isnull;
	Datum value = SPI_getbinval(row, SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? NAN : DatumGetFloat8(value);
}

static void
append(void *context, const char *bytes, size_t count)
{
	appendBinaryStringInfo((StringInfo) context, bytes, count);
}

SlMarkup
sl_markup_to(StringInfo out)
{
	return (SlMarkup){.write = append, .context = out};
}

/* ---- the store ---- */

SlReported *
sl_read_version(const char *model, int version)
{
	SlReported *r = palloc0(sizeof(SlReported));
	pg_uuid_t id;
	Datum args[2];
	HeapTuple row;

	sl_store_lookup(model, &version, &id);
	args[0] = CStringGetTextDatum(model);
	args[1] = Int32GetDatum(version);
	sl_query_read("SELECT source, target, coalesce(best_epoch, 0)::float8,"
				  " coalesce(options ->> 'loss', 'loss'),"
				  " coalesce((target_scale ->> 'log1p')::boolean, false), task"
				  " FROM sessionlen.model_versions WHERE model = $1 AND version = $2",
				  2, (Oid[]){TEXTOID, INT4OID}, args);
	if (SPI_processed != 1)
		elog(ERROR, "version %d of model \"%s\" went away", version, model);
	row = SPI_tuptable->vals[0];
	r->name = pstrdup(model);
	r->model = sl_utf8(model);
	r->version = version;
	r->server_source = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
	r->source = sl_row_text(row, 1);
	r->target = sl_row_text(row, 2);
	r->task = sl_row_text(row, 6);
	r->best_epoch = (int) sl_row_number(row, 3);
	r->unit = sl_unit_of(r->target);
	r->loss = psprintf("%s of %s", sl_row_text(row, 4), r->target);
	if (strcmp(SPI_getvalue(row, SPI_tuptable->tupdesc, 5), "t") == 0)
		r->loss = psprintf("%s of log1p(%s)", sl_row_text(row, 4), r->target);
	SPI_freetuptable(SPI_tuptable);
	return r;
}

static void
add_epoch(SlCurve *curve, HeapTuple row)
{
	int i = curve->n++;

	curve->epoch[i] = sl_row_number(row, 2);
	curve->training[i] = sl_row_number(row, 3);
	curve->validation[i] = sl_row_number(row, 4);
	curve->mae[i] = sl_row_number(row, 5);
}

SlLearning *
sl_read_learning(const SlReported *r)
{
	SlLearning *learning = palloc0(sizeof(SlLearning));
	Datum args[] = {CStringGetTextDatum(r->name), Int32GetDatum(r->version)};
	char *cluster = NULL;
	SlCurve *curve = NULL;
	uint64 rows;

	*learning = (SlLearning){.model = r->model,
							 .version = r->version,
							 .loss = r->loss,
							 .target = r->target,
							 .unit = r->unit,
							 .best_epoch = r->best_epoch};
	/* evenly thinned out to the epochs drawn, the first, best and last kept */
	sl_query_read(
		"SELECT cluster, epoch::float8, training_loss, validation_loss, validation_mae"
		" FROM (SELECT l.*, v.best_epoch, max(epoch) OVER c AS last,"
		"              (count(*) OVER c - 1) / " CppAsString2(
			SL_DRAWN_EPOCHS) " + 1 AS every,"
							 "              row_number() OVER (c ORDER BY epoch) AS place"
							 "         FROM sessionlen.training_log l"
							 "         JOIN sessionlen.model_versions v USING (model, version)"
							 "        WHERE model = $1 AND version = $2 WINDOW c AS (PARTITION BY cluster)) e"
							 " WHERE (place - 1) % every = 0 OR epoch IN (last, best_epoch)"
							 " ORDER BY cluster NULLS FIRST, epoch",
		2, (Oid[]){TEXTOID, INT4OID}, args);
	rows = SPI_processed;
	learning->curve = palloc0(sizeof(SlCurve) * Max(rows, 1));
	for (uint64 i = 0; i < rows; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		char *name = sl_row_text(row, 1);

		if (i == 0 || (name == NULL) != (cluster == NULL) ||
			(name && strcmp(name, cluster) != 0))
		{
			curve = &learning->curve[learning->curves++];
			curve->name = name ? psprintf("cluster %s", name) : NULL;
			curve->epoch = palloc(sizeof(double) * rows);
			curve->training = palloc(sizeof(double) * rows);
			curve->validation = palloc(sizeof(double) * rows);
			curve->mae = palloc(sizeof(double) * rows);
		}
		cluster = name;
		add_epoch(curve, row);
	}
	SPI_freetuptable(SPI_tuptable);
	return learning;
}

bool
sl_source_is_gone(const char *source)
{
	List *names;

	if (sl_source_is_query(source))
		return false;
	names = stringToQualifiedNameList(source
#if PG_VERSION_NUM >= 160000
									  ,
									  NULL
#endif
	);
	return !OidIsValid(RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true));
}

/* ---- predictions ---- */

static void
make_room(SlPredictions *p, size_t *room)
{
	Size row_bytes = sizeof(SlOutcome) + sizeof(double);
	Size limit = (Size) sl_memory_limit * 1024 / row_bytes;
	Size wanted = Min(Max(*room * 2, 4096), limit);

	if (wanted <= *room)
		ereport(
			ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("more than %zu predictions do not fit into sessionlen.memory_limit",
					*room),
			 errhint(
				 "Give a source with fewer rows, or raise sessionlen.memory_limit.")));
	p->row = *room == 0 ? MemoryContextAllocHuge(CurrentMemoryContext,
												 wanted * sizeof(SlOutcome))
						: repalloc_huge(p->row, wanted * sizeof(SlOutcome));
	*room = wanted;
}

static void
take_sample(SlSample *sample, const SlOutcome *outcome, HeapTuple row)
{
	sample->outcome = *outcome;
	sample->key = sl_row_text(row, 7);
	sample->order = sl_row_text(row, 8);
	sample->low = sl_row_number(row, 9);
	sample->high = sl_row_number(row, 10);
}

/*
 * Keeps every row whose number is a multiple of *every; when there are too many, every
 * second of these.  So the samples spread over rows whose number is not known yet.
 */
static void
add_row(SlPredictions *p, HeapTuple row, size_t *every)
{
	SlOutcome *outcome = &p->row[p->rows];

	outcome->actual = sl_row_number(row, 1);
	outcome->cluster = (int) sl_row_number(row, 11);
	for (int i = 0; i < SL_PREDICTORS; i++)
		outcome->by[i] = sl_row_number(row, 2 + i);
	if (p->rows % *every == 0)
	{
		if (p->samples == SL_SAMPLES)
		{
			for (int i = 0; i < SL_SAMPLES; i++)
				if (i % 2 == 0)
					p->sample[i / 2] = p->sample[i];
				else
				{
					pfree(p->sample[i].key);
					pfree(p->sample[i].order);
				}
			p->samples /= 2;
			*every *= 2;
		}
		if (p->rows % *every == 0)
			take_sample(&p->sample[p->samples++], outcome, row);
	}
	p->rows++;
}

static void
read_rows(SlPredictions *p, const char *model, const char *source, const char *part)
{
	Datum args[] = {CStringGetTextDatum(model),
					source ? CStringGetTextDatum(source) : (Datum) 0,
					CStringGetTextDatum(part)};
	char nulls[] = {' ', source ? ' ' : 'n', ' ', '\0'};
	MemoryContext context = CurrentMemoryContext;
	size_t room = 0;
	size_t every = 1;
	Portal portal = SPI_cursor_open_with_args(
		NULL,
		"SELECT actual, prediction, user_mean, user_median, last_value, global_median,"
		" coalesce(partition_key, ''), coalesce(order_key, ''),"
		" quantiles[1], quantiles[pg_catalog.cardinality(quantiles)], coalesce(cluster, -1)::pg_catalog.float8"
		" FROM sessionlen.predictions($1, $2, $3) WHERE actual IS NOT NULL",
		3, (Oid[]){TEXTOID, TEXTOID, TEXTOID}, args, nulls, true, CURSOR_OPT_NO_SCROLL);

	for (;;)
	{
		uint64 got;

		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, FETCH);
		MemoryContextSwitchTo(context);
		got = SPI_processed;
		for (uint64 i = 0; i < got; i++)
		{
			if (p->rows == room)
				make_room(p, &room);
			add_row(p, SPI_tuptable->vals[i], &every);
		}
		SPI_freetuptable(SPI_tuptable);
		if (got == 0)
			break;
	}
	SPI_cursor_close(portal);
	MemoryContextSwitchTo(context);
}

SlPredictions *
sl_read_predictions(const SlReported *r, const char *source, const char *part)
{
	SlPredictions *p = palloc0(sizeof(SlPredictions));

	read_rows(p, r->name, source, part);
	if (p->rows == 0)
		return p;
	p->scratch = MemoryContextAllocHuge(CurrentMemoryContext, p->rows * sizeof(double));
	sl_summarize(p->row, p->rows, r->unit, p->scratch, &p->summary);
	p->drawn_rows = sl_sample_rows(p->rows, SL_DRAWN_ROWS, p->drawn);
	return p;
}

SlPredicted
sl_predicted(const SlReported *r, const SlPredictions *p, const char *part)
{
	return (SlPredicted){.model = r->model,
						 .version = r->version,
						 .target = r->target,
						 .unit = r->unit,
						 .part = part,
						 .row = p->row,
						 .summary = &p->summary,
						 .drawn = p->drawn,
						 .drawn_rows = p->drawn_rows};
}
