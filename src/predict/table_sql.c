/*
 * table_sql.c: predict_table() and predictions().
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "predict/served.h"
#include "predict/table.h"
#include "store/query.h"

PG_FUNCTION_INFO_V1(sl_predict_table);
PG_FUNCTION_INFO_V1(sl_predictions);

/* The columns of predictions(); predict_table() has the first four. */
enum
{
	AT_KEY,
	AT_ORDER,
	AT_PREDICTION,
	AT_QUANTILES,
	AT_PART,
	AT_ACTUAL,
	AT_USER_MEAN,
	AT_USER_MEDIAN,
	AT_LAST_VALUE,
	AT_GLOBAL_MEDIAN,
	AT_CLUSTER,
	AT_GLOBAL_MEAN,
	AT_POSITION,
	AT_COLUMNS
};

typedef struct Baseline
{
	double mean;
	double median;
} Baseline;

/* predictions() only */
typedef struct Baselines
{
	SlVocabulary *users; /* keys with a baseline */
	Baseline *of;		 /* by user's code; [0]: over all, also for users without training
							rows */
} Baselines;

/* ---- results ---- */

static Datum
quantile_array(const SlModel *model, const double *quantile)
{
	Datum element[SL_MAX_QUANTILES];
	int levels = sl_runner_quantiles(model);

	for (int i = 0; i < levels; i++)
		element[i] = Float8GetDatum(quantile[i]);
	return PointerGetDatum(
		construct_array(element, levels, FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
put_number(Datum *values, bool *nulls, int at, double number)
{
	values[at] = Float8GetDatum(number);
	nulls[at] = isnan(number);
}

/* Columns that come after the prediction in predictions(). */
static void
put_baselines(const SlTable *table, const SlPending *b, int sequence, int row,
			  double last, Datum *values, bool *nulls)
{
	const Baselines *baselines = table->arg;
	const Baseline *all = &baselines->of[0];
	const Baseline *user =
		&baselines->of[sl_vocabulary_code(baselines->users, b->key[sequence])];

	values[AT_PART] =
		CStringGetTextDatum(sl_part_name(sl_table_part(table, b, sequence, row)));
	put_number(values, nulls, AT_ACTUAL, b->actual[row]);
	put_number(values, nulls, AT_USER_MEAN, user->mean);
	put_number(values, nulls, AT_USER_MEDIAN, user->median);
	put_number(values, nulls, AT_LAST_VALUE, isnan(last) ? all->median : last);
	put_number(values, nulls, AT_GLOBAL_MEDIAN, all->median);
	put_number(values, nulls, AT_GLOBAL_MEAN, all->mean);
	values[AT_CLUSTER] = Int32GetDatum(b->model->cluster);
	nulls[AT_CLUSTER] = b->model->cluster == SL_NO_CLUSTER;
	values[AT_POSITION] =
		Int64GetDatum(row - b->used[sequence].first - b->past[sequence] + 1);
}

static void
put_prediction(const SlPending *b, int row, Datum *values, bool *nulls)
{
	double quantile[SL_MAX_QUANTILES];
	double prediction = sl_runner_predict(
		b->model, b->out + (Size) row * b->model->net.spec.outputs, quantile);

	values[AT_PREDICTION] = Float8GetDatum(prediction);
	nulls[AT_PREDICTION] = false;
	nulls[AT_QUANTILES] = sl_runner_quantiles(b->model) == 0;
	if (!nulls[AT_QUANTILES])
		values[AT_QUANTILES] = quantile_array(b->model, quantile);
}

/* Resets the memory context it is called in: a sequence may have millions of rows. */
static void
give_sequence(SlTable *table, const SlPending *b, int sequence)
{
	/* the known target before this row, and before all rows predicted at once */
	double last = NAN;

	for (int i = b->start[sequence]; i < b->start[sequence + 1]; i++)
	{
		Datum values[AT_COLUMNS] = {0};
		bool nulls[AT_COLUMNS] = {false};
		bool predicted = sl_table_is_predicted(b, sequence, i);

		if (!table->evaluating ||
			(predicted && (table->part == SL_ANY_PART ||
						   sl_table_part(table, b, sequence, i) == (SlPart) table->part)))
		{
			values[AT_KEY] = CStringGetTextDatum(b->key[sequence]);
			values[AT_ORDER] = CStringGetTextDatum(b->order[i]);
			nulls[AT_PREDICTION] = nulls[AT_QUANTILES] = true;
			if (predicted)
				put_prediction(b, i, values, nulls);
			if (table->evaluating)
				put_baselines(table, b, sequence, i, last, values, nulls);
			tuplestore_putvalues(table->result->setResult, table->result->setDesc, values,
								 nulls);
			if (i % 1024 == 0)
				CHECK_FOR_INTERRUPTS();
			MemoryContextReset(CurrentMemoryContext);
		}
		if (!isnan(b->actual[i]) && !(predicted && sl_runner_is_whole(b->model)))
			last = b->actual[i];
	}
}

static void
give(SlTable *table, const SlPending *b)
{
	for (int s = 0; s < b->sequences; s++)
	{
		CHECK_FOR_INTERRUPTS();
		give_sequence(table, b, s);
	}
}

/* ---- set-up ---- */

static Baselines *
load_baselines(const SlModel *model)
{
	Datum args[] = {CStringGetTextDatum(model->model), Int32GetDatum(model->version)};
	Baselines *b = palloc(sizeof(Baselines));
	bool isnull;

	sl_query_read(
		"SELECT key, mean, median FROM sessionlen.baselines WHERE model = $1 AND version = $2",
		2, (Oid[]){TEXTOID, INT4OID}, args);
	b->users = sl_vocabulary_create();
	b->of = palloc_extended(sizeof(Baseline) * (SPI_processed + 1),
							MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	b->of[0] = (Baseline){NAN, NAN}; /* where every training row is censored */
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		char *key = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
		Baseline *baseline = &b->of[key ? sl_vocabulary_add(b->users, key) : 0];

		baseline->mean =
			DatumGetFloat8(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull));
		baseline->median =
			DatumGetFloat8(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return b;
}

static void
run_source(FunctionCallInfo fcinfo, const char *model, const char *source,
		   bool evaluating, int part)
{
	SlTable table = {.evaluating = evaluating, .part = part, .give = give};
	MemoryContext outer = CurrentMemoryContext;

	InitMaterializedSRF(fcinfo, 0);
	table.result = (ReturnSetInfo *) fcinfo->resultinfo;
	table.model = sl_served_get(model, outer);
	sl_runner_check(table.model);
	SPI_connect();
	if (evaluating)
		table.arg = load_baselines(table.model);
	sl_table_run(&table, source);
	SPI_finish();
}

Datum
sl_predict_table(PG_FUNCTION_ARGS)
{
	char *model = sl_text_argument(fcinfo, 0);
	char *source = sl_text_argument(fcinfo, 1);

	sl_require(model, "model");
	sl_require(source, "source");
	run_source(fcinfo, model, source, false, SL_ANY_PART);
	return (Datum) 0;
}

Datum
sl_predictions(PG_FUNCTION_ARGS)
{
	char *model = sl_text_argument(fcinfo, 0);
	char *source = sl_text_argument(fcinfo, 1);
	char *part = sl_text_argument(fcinfo, 2);

	sl_require(model, "model");
	run_source(fcinfo, model, source, true, sl_part_argument(part));
	return (Datum) 0;
}
