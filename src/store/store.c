/*
 * store.c: writing versions.  load.c reads them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "common/hashfn.h"
#include "storage/lock.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/acl.h"
#include "utils/memutils.h"

#include "nn/blas.h"
#include "store/json.h"
#include "store/store.h"
#include "store/query.h"

#define CHUNK 1000000 /* elements of a weight in one row */
#define KEYS 100000	  /* baselines stored by one statement */

char *
sl_store_blas(void)
{
	if (!sl_blas_load())
		ereport(ERROR, (errcode(ERRCODE_SYSTEM_ERROR), errmsg("could not load OpenBLAS"),
						errdetail("%s", sl_blas_error()),
						errhint("Install the package libopenblas0-pthread.")));
	return psprintf("%s (%s)", sl_blas_version(), sl_blas_kernel());
}

/* Advisory locks of two keys: ours is the first, the model's name hashed the second. They
 * are of a kind that pg_advisory_lock(), open to every role, can't take. */
#define LOCK_CLASS 0x736c656e
#define LOCK_KIND 3

static void
lock_model(const char *model)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, LOCK_CLASS,
						 hash_bytes((const unsigned char *) model, strlen(model)),
						 LOCK_KIND);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("model \"%s\" is being trained by another session", model),
				 errhint("Wait for it to end, or cancel it with pg_cancel_backend().")));
}

int
sl_store_begin(const char *model)
{
	Datum arg = CStringGetTextDatum(model);
	bool isnull;

	lock_model(model);
	sl_query("INSERT INTO sessionlen.models (model) VALUES ($1) ON CONFLICT DO NOTHING",
			 1, (Oid[]){TEXTOID}, &arg, NULL);
	sl_query(
		"SELECT last_version + 1 FROM sessionlen.models WHERE model = $1 FOR KEY SHARE",
		1, (Oid[]){TEXTOID}, &arg, NULL);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of model \"%s\"", model),
				 errhint("Another role has a model of this name; choose another.")));
	return DatumGetInt32(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

static char *
target_text(const SlTarget *scale)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	sl_json_put_bool(&out, "log1p", scale->log1p);
	sl_json_put_bool(&out, "from_one", scale->from_one);
	sl_json_put_double(&out, "mean", scale->mean);
	sl_json_put_double(&out, "scale", scale->scale);
	appendStringInfoChar(&out, '}');
	return out.data;
}

void
sl_store_version(const SlVersionRow *row)
{
	Oid types[] = {TEXTOID, INT4OID,  TEXTOID,	TEXTOID,  TEXTOID,	TEXTOID,
				   TEXTOID, JSONBOID, JSONBOID, JSONBOID, JSONBOID, INT8OID,
				   INT8OID, INT8OID,  INT8OID,	TEXTOID,  TEXTOID};
	Datum args[] = {
		CStringGetTextDatum(row->model),
		Int32GetDatum(row->version),
		CStringGetTextDatum(row->source),
		CStringGetTextDatum(row->target),
		CStringGetTextDatum(row->partition_by),
		CStringGetTextDatum(row->order_by),
		CStringGetTextDatum(sl_task_name(row->options->task)),
		JsonbPGetDatum(sl_json_parse(sl_options_text(row->options))),
		JsonbPGetDatum(sl_json_parse(sl_inputs_text(row->inputs))),
		JsonbPGetDatum(sl_json_parse(target_text(row->scale))),
		JsonbPGetDatum(sl_json_parse(sl_split_text(row->split))),
		Int64GetDatum(row->part_rows[SL_TRAIN]),
		Int64GetDatum(row->part_rows[SL_VALIDATION]),
		Int64GetDatum(row->part_rows[SL_TEST]),
		Int64GetDatum(row->sequences),
		CStringGetTextDatum(sl_store_blas()),
		row->censored ? CStringGetTextDatum(row->censored) : (Datum) 0,
	};
	char nulls[] = "                 ";

	nulls[16] = row->censored ? ' ' : 'n';

	sl_query(
		"INSERT INTO sessionlen.model_versions (model, version, source, target, partition_by, "
		"order_by, task, options, inputs, target_scale, split, training_rows, "
		"validation_rows, test_rows, sequences, blas, censored) VALUES ($1, $2, $3, $4, $5, "
		"$6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
		lengthof(types), types, args, nulls);
}

/* The network of all users is stored with cluster NULL. */
static char
cluster_flag(int cluster)
{
	return cluster == SL_NO_CLUSTER ? 'n' : ' ';
}

/* NaN is stored as NULL. */
static char
null_flag(double value)
{
	return isnan(value) ? 'n' : ' ';
}

void
sl_store_epoch(const char *model, int version, int cluster, const SlEpoch *epoch)
{
	Oid types[] = {TEXTOID,	  INT4OID,	 INT4OID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
				   FLOAT8OID, FLOAT8OID, INT8OID, FLOAT8OID, INT4OID};
	Datum args[] = {
		CStringGetTextDatum(model),
		Int32GetDatum(version),
		Int32GetDatum(epoch->epoch),
		Float8GetDatum(epoch->training_loss),
		Float8GetDatum(epoch->validation_loss),
		Float8GetDatum(epoch->validation_mae),
		Float8GetDatum(epoch->learning_rate),
		Float8GetDatum(epoch->gradient_norm),
		Int64GetDatum(epoch->rows),
		Float8GetDatum(epoch->seconds),
		Int32GetDatum(cluster),
	};
	char nulls[] = "           ";

	nulls[4] = null_flag(epoch->validation_loss);
	nulls[5] = null_flag(epoch->validation_mae);
	nulls[10] = cluster_flag(cluster);
	sl_query(
		"INSERT INTO sessionlen.training_log (model, version, epoch, training_loss, "
		"validation_loss, validation_mae, learning_rate, gradient_norm, row_count, seconds, "
		"cluster) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
		lengthof(types), types, args, nulls);
}

void
sl_store_forget_epochs(const char *model, int version, int cluster)
{
	Datum args[] = {CStringGetTextDatum(model), Int32GetDatum(version),
					Int32GetDatum(cluster)};
	char nulls[] = {' ', ' ', cluster_flag(cluster), '\0'};

	sl_query("DELETE FROM sessionlen.training_log WHERE model = $1 AND version = $2 AND "
			 "cluster IS NOT DISTINCT FROM $3",
			 3, (Oid[]){TEXTOID, INT4OID, INT4OID}, args, nulls);
}

void
sl_store_result(const char *model, int version, const SlTrainResult *result,
				bool stopped_early)
{
	Oid types[] = {TEXTOID,	  INT4OID,	 INT4OID,	INT4OID, FLOAT8OID,
				   FLOAT8OID, FLOAT8OID, FLOAT8OID, BOOLOID};
	Datum args[] = {
		CStringGetTextDatum(model),
		Int32GetDatum(version),
		Int32GetDatum(result->epochs),
		Int32GetDatum(result->best.epoch),
		Float8GetDatum(result->best.training_loss),
		Float8GetDatum(result->best.validation_loss),
		Float8GetDatum(result->best.validation_mae),
		Float8GetDatum(result->seconds),
		BoolGetDatum(stopped_early),
	};
	char nulls[] = "         ";

	nulls[5] = null_flag(result->best.validation_loss);
	nulls[6] = null_flag(result->best.validation_mae);
	sl_query(
		"UPDATE sessionlen.model_versions SET epochs = $3, best_epoch = $4, "
		"training_loss = $5, validation_loss = $6, validation_mae = $7, seconds = $8, "
		"stopped_early = $9, trained_at = pg_catalog.clock_timestamp() "
		"WHERE model = $1 AND version = $2",
		lengthof(types), types, args, nulls);
}

void
sl_store_network(const SlVersionRow *row, int cluster, const SlTrainResult *result)
{
	Oid types[] = {TEXTOID,	  INT4OID,	 INT4OID,	JSONBOID, JSONBOID, JSONBOID,
				   INT8OID,	  INT8OID,	 INT8OID,	INT8OID,  INT4OID,	INT4OID,
				   FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID};
	Datum args[] = {
		CStringGetTextDatum(row->model),
		Int32GetDatum(row->version),
		Int32GetDatum(cluster),
		JsonbPGetDatum(sl_json_parse(sl_options_text(row->options))),
		JsonbPGetDatum(sl_json_parse(sl_inputs_text(row->inputs))),
		JsonbPGetDatum(sl_json_parse(target_text(row->scale))),
		Int64GetDatum(row->part_rows[SL_TRAIN]),
		Int64GetDatum(row->part_rows[SL_VALIDATION]),
		Int64GetDatum(row->part_rows[SL_TEST]),
		Int64GetDatum(row->sequences),
		Int32GetDatum(result->epochs),
		Int32GetDatum(result->best.epoch),
		Float8GetDatum(result->best.training_loss),
		Float8GetDatum(result->best.validation_loss),
		Float8GetDatum(result->best.validation_mae),
		Float8GetDatum(result->seconds),
	};
	char nulls[] = "                ";

	nulls[13] = null_flag(result->best.validation_loss);
	nulls[14] = null_flag(result->best.validation_mae);
	sl_query(
		"INSERT INTO sessionlen.cluster_networks (model, version, cluster, options, inputs, "
		"target_scale, training_rows, validation_rows, test_rows, sequences, epochs, best_epoch, "
		"training_loss, validation_loss, validation_mae, seconds) VALUES ($1, $2, $3, $4, $5, "
		"$6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
		lengthof(types), types, args, nulls);
}

void
sl_store_members(const char *model, int version, int cluster, int count, char **keys)
{
	Datum *key = palloc_extended(sizeof(Datum) * Max(count, 1), MCXT_ALLOC_HUGE);
	Datum args[4];

	for (int i = 0; i < count; i++)
		key[i] = CStringGetTextDatum(keys[i]);
	args[0] = CStringGetTextDatum(model);
	args[1] = Int32GetDatum(version);
	args[2] = Int32GetDatum(cluster);
	args[3] =
		PointerGetDatum(construct_array(key, count, TEXTOID, -1, false, TYPALIGN_INT));
	sl_query("INSERT INTO sessionlen.network_members (model, version, cluster, keys) "
			 "VALUES ($1, $2, $3, $4)",
			 4, (Oid[]){TEXTOID, INT4OID, INT4OID, TEXTARRAYOID}, args, NULL);
}

static void
store_vocabulary(const char *model, int version, const SlInput *input, const int64 *rows)
{
	int texts = sl_vocabulary_count(input->vocabulary);
	Datum *entry = palloc_extended(sizeof(Datum) * ((Size) texts + 1), MCXT_ALLOC_HUGE);
	Datum args[5] = {CStringGetTextDatum(model), Int32GetDatum(version),
					 CStringGetTextDatum(input->name)};
	char nulls[] = "     ";

	for (int c = 1; c <= texts; c++)
		entry[c - 1] = CStringGetTextDatum(sl_vocabulary_text(input->vocabulary, c));
	args[3] =
		PointerGetDatum(construct_array(entry, texts, TEXTOID, -1, false, TYPALIGN_INT));
	for (int c = 0; rows != NULL && c < texts; c++)
		entry[c] = Int64GetDatum(rows[c]);
	if (rows != NULL)
		args[4] = PointerGetDatum(
			construct_array(entry, texts, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	else
		nulls[4] = 'n';
	sl_query("INSERT INTO sessionlen.vocabularies (model, version, column_name, entries, "
			 "row_counts) VALUES ($1, $2, $3, $4, $5)",
			 5, (Oid[]){TEXTOID, INT4OID, TEXTOID, TEXTARRAYOID, INT8ARRAYOID}, args,
			 nulls);
}

void
sl_store_vocabularies(const char *model, int version, const SlInputs *inputs,
					  const int64 *item_rows)
{
	MemoryContext scratch = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen vocabularies", ALLOCSET_DEFAULT_SIZES);
	MemoryContext context = MemoryContextSwitchTo(scratch);

	for (int i = 0; i < inputs->count; i++)
	{
		const SlInput *input = &inputs->input[i];

		if (!sl_input_has_vocabulary(input))
			continue;
		store_vocabulary(model, version, input,
						 input->role == SL_ROLE_ITEM ? item_rows : NULL);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(context);
	MemoryContextDelete(scratch);
}

void
sl_store_weights(const char *model, int version, int cluster, const SlParams *params,
				 const float *value)
{
	Oid types[] = {TEXTOID,		 INT4OID,		 TEXTOID, INT4OID,
				   INT4ARRAYOID, FLOAT4ARRAYOID, INT4OID};
	char nulls[] = "       ";

	for (int p = 0; p < params->count; p++)
	{
		const SlParam *param = &params->item[p];
		size_t n = (size_t) param->rows * Max(param->cols, 1);
		Datum shape[] = {Int32GetDatum(param->rows), Int32GetDatum(param->cols)};

		for (size_t from = 0; from < n; from += CHUNK)
		{
			ArrayType *data = sl_number_array(FLOAT4OID, value + param->offset + from,
											  (int) Min(n - from, CHUNK));
			Datum args[] = {
				CStringGetTextDatum(model),
				Int32GetDatum(version),
				CStringGetTextDatum(param->name),
				Int32GetDatum(from / CHUNK),
				PointerGetDatum(construct_array(shape, param->cols > 0 ? 2 : 1, INT4OID,
												sizeof(int32), true, TYPALIGN_INT)),
				PointerGetDatum(data),
				Int32GetDatum(cluster),
			};

			CHECK_FOR_INTERRUPTS();
			nulls[6] = cluster_flag(cluster);
			sl_query(
				"INSERT INTO sessionlen.weights (model, version, name, chunk, shape, data, "
				"cluster) VALUES ($1, $2, $3, $4, $5, $6, $7)",
				lengthof(types), types, args, nulls);
			pfree(data);
		}
	}
}

void
sl_store_checkpoint(const char *model, int version, const SlTrainState *state,
					int moments, size_t total)
{
	Oid types[] = {TEXTOID, INT4OID,   INT4OID,		  INT4OID,
				   INT8OID, FLOAT8OID, FLOAT4ARRAYOID};
	Datum name = CStringGetTextDatum(model);

	sl_query("DELETE FROM sessionlen.checkpoints WHERE model = $1", 1, (Oid[]){TEXTOID},
			 &name, NULL);
	for (int m = 0; m < moments; m++)
		for (size_t from = 0; from < total; from += CHUNK)
		{
			ArrayType *data =
				sl_number_array(FLOAT4OID, state->moments + m * total + from,
								(int) Min(total - from, CHUNK));
			Datum args[] = {
				name,
				Int32GetDatum(version),
				Int32GetDatum(m),
				Int32GetDatum(from / CHUNK),
				Int64GetDatum(state->step),
				Float8GetDatum(state->mu_product),
				PointerGetDatum(data),
			};

			sl_query(
				"INSERT INTO sessionlen.checkpoints (model, version, moment, chunk, step, "
				"mu_product, data) VALUES ($1, $2, $3, $4, $5, $6, $7)",
				lengthof(types), types, args, NULL);
			pfree(data);
		}
}

static void
store_baselines(const char *model, int version, int count, char **keys, const int64 *rows,
				const double *mean, const double *median)
{
	Oid types[] = {TEXTOID,		 INT4OID,		 TEXTARRAYOID,
				   INT8ARRAYOID, FLOAT8ARRAYOID, FLOAT8ARRAYOID};
	Datum *element[4];
	bool *isnull = palloc0(sizeof(bool) * Max(count, 1));
	Datum args[6];
	int one = 1;

	for (int a = 0; a < 4; a++)
		element[a] = palloc_extended(sizeof(Datum) * Max(count, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < count; i++)
	{
		isnull[i] = keys == NULL;
		element[0][i] = keys ? CStringGetTextDatum(keys[i]) : (Datum) 0;
		element[1][i] = Int64GetDatum(rows[i]);
		element[2][i] = Float8GetDatum(mean[i]);
		element[3][i] = Float8GetDatum(median[i]);
	}
	args[0] = CStringGetTextDatum(model);
	args[1] = Int32GetDatum(version);
	args[2] = PointerGetDatum(construct_md_array(element[0], isnull, 1, &count, &one,
												 TEXTOID, -1, false, TYPALIGN_INT));
	args[3] = PointerGetDatum(
		construct_array(element[1], count, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	for (int a = 2; a < 4; a++)
		args[a + 2] = PointerGetDatum(construct_array(element[a], count, FLOAT8OID, 8,
													  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	sl_query(
		"INSERT INTO sessionlen.baselines (model, version, key, row_count, mean, median) "
		"SELECT $1, $2, u.* FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), "
		"pg_catalog.unnest($5), pg_catalog.unnest($6)) AS u",
		6, types, args, NULL);
}

void
sl_store_baselines(const char *model, int version, int count, char **keys,
				   const int64 *rows, const double *mean, const double *median)
{
	MemoryContext scratch = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen baselines", ALLOCSET_DEFAULT_SIZES);
	MemoryContext context = MemoryContextSwitchTo(scratch);

	for (int from = 0; from < count; from += KEYS)
	{
		CHECK_FOR_INTERRUPTS();
		store_baselines(model, version, Min(count - from, KEYS),
						keys ? keys + from : NULL, rows + from, mean + from,
						median + from);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(context);
	MemoryContextDelete(scratch);
}

void
sl_store_deploy(const char *model, int version)
{
	Datum args[] = {CStringGetTextDatum(model), Int32GetDatum(version)};

	sl_query(
		"UPDATE sessionlen.models SET deployed = $2, last_version = (SELECT "
		"pg_catalog.max(v.version) FROM sessionlen.model_versions v WHERE v.model = $1) "
		"WHERE model = $1",
		2, (Oid[]){TEXTOID, INT4OID}, args, NULL);
}

void
sl_store_remove(const char *model, int version)
{
	Datum args[] = {CStringGetTextDatum(model), Int32GetDatum(version)};

	sl_query("DELETE FROM sessionlen.model_versions WHERE model = $1 AND version = $2", 2,
			 (Oid[]){TEXTOID, INT4OID}, args, NULL);
}
