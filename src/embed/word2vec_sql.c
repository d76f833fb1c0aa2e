/*
 * word2vec_sql.c: word2vec(): arguments, memory, progress, storing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "cluster/cluster_sql.h"
#include "embed/embed_sql.h"
#include "sessionlen.h"

PG_FUNCTION_INFO_V1(sl_word2vec);

#define NOTICE_SECONDS 5.0

typedef struct Run
{
	const SlEmbedOptions *options;
	SlWord2vec w;
	double begin; /* as clock_now() says */
	double next_notice;
	double end; /* by the time limit, 0: none */
	bool out_of_time;
} Run;

static double
clock_now(void)
{
	instr_time time;

	INSTR_TIME_SET_CURRENT(time);
	return INSTR_TIME_GET_DOUBLE(time);
}

static char *
name_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	char *value = sl_cluster_text_arg(fcinfo, number, name);

	if (strlen(value) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG), errmsg("%s is too long", name),
						errdetail("Names have at most %d bytes.", NAMEDATALEN - 1)));
	return value;
}

static void
read_call(FunctionCallInfo fcinfo, SlEmbeddingRow *row)
{
	row->name = name_argument(fcinfo, 0, "name");
	row->source = sl_cluster_text_arg(fcinfo, 1, "source");
	row->item = name_argument(fcinfo, 2, "item");
	row->partition_by = name_argument(fcinfo, 3, "partition_by");
	row->order_by = name_argument(fcinfo, 4, "order_by");
}

/* Memory of the training, refused before anything is allocated. */
static void
start(Run *run, const SlCorpusItems *items)
{
	Size limit = (Size) sl_memory_limit * 1024;
	SlArena arena = {NULL, SIZE_MAX, 0};

	if (sl_word2vec_init(&run->w, &items->corpus, &run->options->training, &arena) !=
			SL_OK ||
		arena.used > limit || items->bytes > limit - arena.used)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("training would need more than sessionlen.memory_limit (%zu MB)",
						limit >> 20),
				 arena.used == SIZE_MAX
					 ? 0
					 : errdetail("Two vectors of %d numbers for each of %d items and the "
								 "sequences take %zu MB.",
								 run->options->training.dim, items->corpus.items,
								 (arena.used + items->bytes + (1 << 20) - 1) >> 20),
				 errhint("Lower the option \"dim\", raise \"min_count\", or raise "
						 "sessionlen.memory_limit.")));
	arena.base = (char *) TYPEALIGN(
		SL_ALIGN, MemoryContextAllocHuge(CurrentMemoryContext, arena.used + SL_ALIGN));
	arena.size = arena.used;
	arena.used = 0;
	if (sl_word2vec_init(&run->w, &items->corpus, &run->options->training, &arena) !=
		SL_OK)
		elog(ERROR, "word2vec could not be set up");
}

/* Not only what ends the statement: whatever else is to be done in between, too. */
static bool
should_stop(void *arg)
{
	Run *run = arg;
	double time;

	if (InterruptPending)
		return true;
	if (!run->options->verbose && run->end == 0)
		return false;
	time = clock_now();
	return (run->options->verbose && time >= run->next_notice) ||
		   (run->end > 0 && time >= run->end);
}

static void
tell(Run *run, bool epoch_ended)
{
	double seconds = clock_now() - run->begin;
	double progress = sl_word2vec_progress(&run->w);
	double tokens =
		progress * run->options->training.epochs * (double) run->w.corpus.tokens;

	if (!run->options->verbose)
		return;
	ereport(NOTICE,
			(errmsg("epoch %d/%d%s: loss %.4g, %.0f tokens/s, %.0f s left",
					epoch_ended ? run->w.epoch : run->w.epoch + 1,
					run->options->training.epochs, epoch_ended ? "" : " runs",
					run->w.loss / Max(run->w.examples, 1), tokens / Max(seconds, 1e-9),
					seconds * (1 / Max(progress, 1e-9) - 1))));
	run->next_notice = clock_now() + NOTICE_SECONDS;
}

static void
check_status(SlStatus status)
{
	if (status == SL_NOT_FINITE)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("training did not converge"),
						errhint("Lower the option \"learning_rate\".")));
	if (status != SL_OK)
		elog(ERROR, "training failed with status %d", (int) status);
}

/* All epochs, or as many as the time limit allows; the last may be cut short. */
static void
train(Run *run)
{
	SlStop stop = {should_stop, run};

	run->begin = clock_now();
	run->next_notice = run->begin + NOTICE_SECONDS;
	run->end = run->options->time_limit > 0 ? run->begin + run->options->time_limit : 0;
	while (run->w.epoch < run->options->training.epochs)
	{
		SlStatus status = sl_word2vec_epoch(&run->w, &stop);

		CHECK_FOR_INTERRUPTS();
		if (status != SL_STOPPED)
		{
			check_status(status);
			tell(run, true);
		}
		else if (clock_now() >= run->next_notice)
			tell(run, false);
		if (run->end > 0 && clock_now() >= run->end &&
			run->w.epoch < run->options->training.epochs)
		{
			run->out_of_time = true;
			check_status(sl_word2vec_check(&run->w));
			return;
		}
	}
}

static Datum
result_row(FunctionCallInfo fcinfo, const SlEmbeddingRow *row, const Run *run)
{
	TupleDesc desc;
	double tokens = sl_word2vec_progress(&run->w) * run->options->training.epochs *
					(double) row->items->corpus.tokens;
	Datum values[11];
	bool nulls[11] = {false};

	values[0] = CStringGetTextDatum(row->name);
	values[1] =
		CStringGetTextDatum(run->w.options.method == SL_CBOW ? "cbow" : "skip_gram");
	values[2] = Int32GetDatum(row->items->corpus.items);
	values[3] = Int32GetDatum(run->w.options.dim);
	values[4] = Int64GetDatum(row->items->corpus.sequences);
	values[5] = Int64GetDatum(row->items->corpus.tokens);
	values[6] = Int32GetDatum(row->epochs);
	values[7] = Float8GetDatum(row->loss);
	values[8] = Float8GetDatum(row->seconds);
	values[9] = Float8GetDatum(tokens / Max(row->seconds, 1e-9));
	values[10] = BoolGetDatum(run->out_of_time);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "word2vec() must return a row");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

Datum
sl_word2vec(PG_FUNCTION_ARGS)
{
	MemoryContext outer = CurrentMemoryContext;
	SlEmbedOptions options;
	SlEmbeddingRow row = {.options = &options};
	SlCorpusItems *items;
	Run *run;
	Datum result;

	read_call(fcinfo, &row);
	sl_embed_options_read(&options, PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P(5));
	SPI_connect();
	sl_embedding_begin(row.name);
	items = sl_items_read(row.source, row.item, row.partition_by, row.order_by,
						  options.min_count);
	run = palloc0(sizeof(Run));
	run->options = &options;
	start(run, items);
	train(run);
	row.items = items;
	row.epochs = run->w.epoch;
	row.loss = run->w.loss / Max(run->w.examples, 1);
	row.seconds = clock_now() - run->begin;
	sl_embedding_store(&row, &run->w);
	MemoryContextSwitchTo(outer);
	result = result_row(fcinfo, &row, run);
	SPI_finish();
	return result;
}
