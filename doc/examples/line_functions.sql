-- line_functions.sql: temporary functions for lines read as text in which a character is a
-- byte.  Included by the loaders, which drop them at the end.

-- The line's bytes as UTF-8 if they are UTF-8, else as the Latin-1 they were read as.
-- (Declared no better than its parts, so that it is inlined.)
CREATE FUNCTION pg_temp.decoded(line text) RETURNS text
LANGUAGE sql STABLE
RETURN CASE
	WHEN octet_length(line) = length(line) THEN line	-- ASCII
	WHEN line ~ ('^([\u0001-\u007f]|[\u00c2-\u00df][\u0080-\u00bf]'
		|| '|\u00e0[\u00a0-\u00bf][\u0080-\u00bf]'
		|| '|\u00ed[\u0080-\u009f][\u0080-\u00bf]'
		|| '|[\u00e1-\u00ec\u00ee\u00ef][\u0080-\u00bf]{2}'
		|| '|\u00f0[\u0090-\u00bf][\u0080-\u00bf]{2}'
		|| '|[\u00f1-\u00f3][\u0080-\u00bf]{3}'
		|| '|\u00f4[\u0080-\u008f][\u0080-\u00bf]{2})*$')
	THEN convert_from(convert_to(line, 'LATIN1'), 'UTF8')
	ELSE line
END;

-- A date from its parts if there is such a day, else NULL.
CREATE FUNCTION pg_temp.day_of(year integer, month integer, day integer) RETURNS date
LANGUAGE sql IMMUTABLE
RETURN CASE
	WHEN year > 0 AND month BETWEEN 1 AND 12 AND day BETWEEN 1 AND 28
	THEN make_date(year, month, day)
	WHEN year > 0 AND month BETWEEN 1 AND 12
		 AND day <= extract(day FROM make_date(year, month, 1) + interval '1 month - 1 day')
	THEN make_date(year, month, day)
END;

-- "Aug 13, 2006", or NULL.
CREATE FUNCTION pg_temp.registered_on(text) RETURNS date
LANGUAGE sql IMMUTABLE
RETURN CASE
	WHEN $1 ~ '^(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{1,2}, [0-9]{4}$'
	THEN pg_temp.day_of(right($1, 4)::integer,
						(position(left($1, 3) IN 'JanFebMarAprMayJunJulAugSepOctNovDec') + 2) / 3,
						split_part(substr($1, 5), ',', 1)::integer)
END;
