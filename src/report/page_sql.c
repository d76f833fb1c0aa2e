/*
 * page_sql.c: texts, tables of queries, and the foot of a page.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "report/page.h"
#include "store/query.h"

char *
sl_number_text(double value)
{
	char label[80];

	sl_number_label(value, label, sizeof(label));
	return pstrdup(label);
}

char *
sl_count_text(int64 value)
{
	char digits[32];
	char grouped[64];

	snprintf(digits, sizeof(digits), INT64_FORMAT, value);
	sl_group_digits(digits, grouped, sizeof(grouped));
	return pstrdup(grouped);
}

const char *
sl_unit_suffix(SlUnit unit)
{
	return unit == SL_SECONDS ? " (seconds)" : "";
}

static void
run(const char *sql, const SlReported *reported)
{
	Datum args[] = {CStringGetTextDatum(reported->name),
					Int32GetDatum(reported->version)};

	sl_query_read(sql, 2, (Oid[]){TEXTOID, INT4OID}, args);
}

static void
put_cell(SlHtml *page, HeapTuple row, int column, Oid type)
{
	bool isnull;
	Datum value;

	if (type == FLOAT8OID)
	{
		sl_html_cell_number(page, sl_row_number(row, column));
		return;
	}
	value = SPI_getbinval(row, SPI_tuptable->tupdesc, column, &isnull);
	if (type == INT8OID && !isnull)
		sl_html_cell_count(page, DatumGetInt64(value));
	else
	{
		char *text = sl_row_text(row, column);

		sl_html_cell(page, text ? text : "");
	}
}

uint64
sl_page_query(SlHtml *page, const char *caption, const char *sql,
			  const SlReported *reported)
{
	TupleDesc desc;
	const char **heads;
	uint64 rows;

	run(sql, reported);
	rows = SPI_processed;
	desc = SPI_tuptable->tupdesc;
	heads = palloc(sizeof(char *) * desc->natts);
	for (int c = 0; c < desc->natts; c++)
	{
		Oid type = TupleDescAttr(desc, c)->atttypid;

		heads[c] = psprintf("%s%s", type == FLOAT8OID || type == INT8OID ? "#" : "",
							NameStr(TupleDescAttr(desc, c)->attname));
	}
	sl_html_table(page, caption);
	sl_html_heads(page, desc->natts, heads);
	for (uint64 i = 0; i < rows; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		char *head = sl_row_text(row, 1);

		sl_html_row_head(page, head ? head : "");
		for (int c = 1; c < desc->natts; c++)
			put_cell(page, row, c + 1, TupleDescAttr(desc, c)->atttypid);
		sl_html_row_end(page);
	}
	sl_html_table_end(page);
	SPI_freetuptable(SPI_tuptable);
	return rows;
}

char **
sl_page_texts(const char *sql, const SlReported *reported)
{
	char **texts;
	int columns;

	run(sql, reported);
	if (SPI_processed == 0)
		elog(ERROR, "version %d of model \"%s\" went away", reported->version,
			 reported->name);
	columns = SPI_tuptable->tupdesc->natts;
	texts = palloc(sizeof(char *) * columns);
	for (int c = 0; c < columns; c++)
		texts[c] = sl_row_text(SPI_tuptable->vals[0], c + 1);
	SPI_freetuptable(SPI_tuptable);
	return texts;
}

void
sl_page_close(SlHtml *page)
{
	char *now;

	sl_query_read("SELECT pg_catalog.to_char(pg_catalog.now(), 'YYYY-MM-DD HH24:MI TZ')",
				  0, NULL, NULL);
	now = sl_row_text(SPI_tuptable->vals[0], 1);
	sl_html_close(page, psprintf("Written by sessionlen %s on %s.", SL_VERSION, now));
	SPI_freetuptable(SPI_tuptable);
}
