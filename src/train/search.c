/*
 * search.c: the combinations a search goes through.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "store/json.h"
#include "train/options.h"

#define SL_MAX_COMBINATIONS 1000

/* Every combination in list extended by every element of values under key. */
static List *
extend_combinations(List *list, JsonbValue key, const JsonbValue *values)
{
	List *result = NIL;
	ListCell *cell;

	if (values->type != jbvBinary || !JsonContainerIsArray(values->val.binary.data))
		sl_option_wrong_type(psprintf("search.%s", sl_json_cstring(&key)), "an array",
							 values);
	foreach (cell, list)
	{
		JsonbIterator *it = JsonbIteratorInit(values->val.binary.data);
		JsonbValue element;

		JsonbIteratorNext(&it, &element, true);
		while (JsonbIteratorNext(&it, &element, true) != WJB_END_ARRAY)
		{
			JsonbParseState *state = NULL;
			JsonbValue *object;
			Jsonb *one;

			pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
			pushJsonbValue(&state, WJB_KEY, &key);
			pushJsonbValue(&state, WJB_VALUE, &element);
			object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
			one = JsonbValueToJsonb(object);
			if (lfirst(cell) != NULL)
				one = DatumGetJsonbP(DirectFunctionCall2(
					jsonb_concat, JsonbPGetDatum(lfirst(cell)), JsonbPGetDatum(one)));
			result = lappend(result, one);
			if (list_length(result) > SL_MAX_COMBINATIONS)
				ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
								errmsg("option \"search\" has more than %d combinations",
									   SL_MAX_COMBINATIONS)));
		}
	}
	return result;
}

List *
sl_options_search(Jsonb *given)
{
	JsonbValue *search = given == NULL ? NULL : sl_json_get(&given->root, "search");
	JsonbIterator *it;
	JsonbValue key;
	JsonbValue values;
	List *list = list_make1(NULL);

	if (search == NULL)
		return NIL;
	if (search->type != jbvBinary || !JsonContainerIsObject(search->val.binary.data))
		sl_option_wrong_type("search", "an object", search);
	it = JsonbIteratorInit(search->val.binary.data);
	JsonbIteratorNext(&it, &key, true);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		char *name = sl_json_cstring(&key);

		if (!sl_option_is_searchable(name))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" can't be searched over", name),
					 errdetail("All combinations share one preparation of the data.")));
		JsonbIteratorNext(&it, &values, true);
		list = extend_combinations(list, key, &values);
	}
	if (list == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"search\" has an empty array"),
				 errhint("For example {\"search\": {\"dropout\": [0, 0.1, 0.2]}}.")));
	return linitial(list) == NULL ? NIL : list; /* {}: no search */
}
