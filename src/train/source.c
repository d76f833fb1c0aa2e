#include "postgres.h"

#include "catalog/namespace.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#include "train/source.h"

/* No table name begins as a query does: the words are reserved. */
bool
sl_source_is_query(const char *source)
{
	static const char *const words[] = {"select", "with", "values", "table"};

	while (scanner_isspace(*source))
		source++;
	if (*source == '(' || strncmp(source, "--", 2) == 0 || strncmp(source, "/*", 2) == 0)
		return true;
	for (int i = 0; i < (int) lengthof(words); i++)
	{
		size_t length = strlen(words[i]);

		if (pg_strncasecmp(source, words[i], length) == 0 &&
			(scanner_isspace(source[length]) || source[length] == '(' ||
			 source[length] == '*'))
			return true;
	}
	return false;
}

char *
sl_source_sql(const char *source)
{
	List *names;
	RangeVar *range;
	Oid table;

	if (source[strspn(source, " \t\r\n")] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("source must not be empty"),
						errhint("Name a table or a view, or give a query.")));
	if (sl_source_is_query(source))
	{
		char *query = pstrdup(source);
		int end = strlen(query);

		while (end > 0 && (scanner_isspace(query[end - 1]) || query[end - 1] == ';'))
			query[--end] = '\0';
		/* the line break ends a comment the query may end with */
		return psprintf("(%s\n)", query);
	}
	if (!SplitIdentifierString(pstrdup(source), '.', &names) || names == NIL)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("source is neither a name nor a query: \"%s\"", source),
			 errhint(
				 "Name a table or a view, with double quotes where SQL needs them, or "
				 "give a query that begins with SELECT, WITH, VALUES, TABLE or a "
				 "parenthesis.")));
	names = stringToQualifiedNameList(source
#if PG_VERSION_NUM >= 160000
									  ,
									  NULL
#endif
	);
	range = makeRangeVarFromNameList(names);
	table = RangeVarGetRelid(range, AccessShareLock,
							 false); /* as the query will: no drop between */
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
									  get_rel_name(table));
}
