-- spotify_lines.sql: how the lines of the challenge's files are read.  Included by
-- load_spotify.sql.
--
-- Sets environment variables for awk: the columns of a log and of track features in the
-- order of their tables, and a program that brings each line into this order by its file's
-- header and says what is wrong with a line that can't be used.  It writes the file, the
-- line's number, the reason and the line, if there is one, and the values, with a byte 2
-- between them, which no line may hold; quotes and spaces mean nothing in these files.
-- A line of a log that looks as usual is passed on in one piece, and only others are
-- looked at value by value.

\set columns 'session_id,session_position,session_length,track_id_clean,skip_1,skip_2,skip_3,not_skipped,'
\set columns :columns 'context_switch,no_pause_before_play,short_pause_before_play,long_pause_before_play,'
\set columns :columns 'hist_user_behavior_n_seekfwd,hist_user_behavior_n_seekback,hist_user_behavior_is_shuffle,'
\set columns :columns 'hour_of_day,date,premium,context_type,hist_user_behavior_reason_start,hist_user_behavior_reason_end'
\setenv SPOTIFY_LOG_COLUMNS :columns
\set columns 'track_id,duration,release_year,us_popularity_estimate,acousticness,beat_strength,bounciness,'
\set columns :columns 'danceability,dyn_range_mean,energy,flatness,instrumentalness,key,liveness,loudness,mechanism,'
\set columns :columns 'mode,organism,speechiness,tempo,time_signature,valence,acoustic_vector_0,acoustic_vector_1,'
\set columns :columns 'acoustic_vector_2,acoustic_vector_3,acoustic_vector_4,acoustic_vector_5,acoustic_vector_6,acoustic_vector_7'
\setenv SPOTIFY_TRACK_COLUMNS :columns

\set read 'function days(y, m) { return m == 2 ? 28 + (y % 4 == 0 && (y % 100 || y % 400 == 0)) : 30 + (m + (m > 7)) % 2 }\n'
\set read :read 'function day(s) { return s ~ /^[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]$/ && substr(s, 6, 2) > 0 &&\n'
\set read :read '  substr(s, 6, 2) < 13 && substr(s, 9) > 0 && substr(s, 9) + 0 <= days(substr(s, 1, 4) + 0, substr(s, 6, 2) + 0) }\n'
\set read :read 'function whole(s, n) { return s ~ /^-?[0-9]*$/ && s != "-" && length(s) <= n }\n'
\set read :read 'function number(s) { return s ~ /^(-?[0-9]+(\\.[0-9]*)?([eE][-+]?[0-9][0-9]?)?)?$/ && length(s) < 40 }\n'
\set read :read 'function log_reason(i) {\n'
\set read :read '  if (v[1] == "") return "no session"\n'
\set read :read '  if (v[2] !~ /^[0-9]/ || !whole(v[2], 4) || v[2] + 0 == 0) return "not a position"\n'
\set read :read '  if (v[3] !~ /^[0-9]/ || !whole(v[3], 4)) return "not a length"\n'
\set read :read '  if (v[3] + 0 < v[2] + 0) return "a position beyond the length"\n'
\set read :read '  if (v[4] == "") return "no track"\n'
\set read :read '  for (i = 5; i <= 18; i++) if ((i <= 12 || i == 15 || i == 18) && tolower(v[i]) !~ /^(true|false|t|f|0|1)?$/) return "not a boolean"\n'
\set read :read '  for (i = 13; i <= 14; i++) if (v[i] ~ /^-/ || !whole(v[i], 9)) return "not a count"\n'
\set read :read '  if (v[16] !~ /^([01]?[0-9]|2[0-3])?$/) return "not an hour"\n'
\set read :read '  if (v[17] != "" && !day(v[17])) return "not a date"\n'
\set read :read '  return "" }\n'
\set read :read 'function track_reason(i) {\n'
\set read :read '  if (v[1] == "") return "no track"\n'
\set read :read '  for (i = 2; i <= k; i++) if (w[i] ~ /^(release_year|key|time_signature)$/) { if (!whole(v[i], 4)) return "not a whole number" }\n'
\set read :read '    else if (w[i] != "mode") { if (tolower(v[i]) == "nan") v[i] = ""; if (!number(v[i])) return "not a number" }\n'
\set read :read '  return "" }\n'
\set read :read 'function row(reason, i, s) {\n'
\set read :read '  s = substr(FILENAME, 3) "\\002" FNR "\\002" reason "\\002" (reason == "" ? "" : substr(content, 1, 1000))\n'
\set read :read '  for (i = 1; i <= k; i++) s = s "\\002" (reason == "" ? v[i] : "")\n'
\set read :read '  print s }\n'
\set read :read 'BEGIN { FS = ","; k = split(columns, w, ","); logs = needed > 1\n'
\set read :read '  b = ",(true|false)"; c = b b b b ",[01],[01],[01],[01]"\n'
\set read :read '  usual = "^[^,]+,[1-9][0-9]?,[1-9][0-9]?,[^,]+" c ",[0-9],[0-9]" b ",(1?[0-9]|2[0-3]),20[0-9][0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])" b ",[a-z_]+,[a-z]+,[a-z]+$" }\n'
\set read :read '{ content = $0; if ($0 ~ /[\\001\\002\\r\\t "]/) { sub(/\\r$/, "", content); gsub(/[\\001\\002\\r]/, " ", content); gsub(/[\\001\\002\\r\\t "]/, "") } }\n'
\set read :read 'FNR == 1 {\n'
\set read :read '  sub(/^\\357\\273\\277/, ""); split("", at); for (i = 1; i <= NF; i++) at[tolower($i)] = i\n'
\set read :read '  usable = same = 1; for (i = 1; i <= k; i++) { p[i] = at[w[i]]; if (p[i] != i) same = 0; if (i <= needed && !p[i]) usable = 0 }\n'
\set read :read '  fields = NF; same = same && NF == k; if (!usable) row("not a header: the file is left out"); next }\n'
\set read :read 'usable && same && logs && $0 ~ usual && $2 + 0 <= $3 + 0 { gsub(/,/, "\\002"); print substr(FILENAME, 3) "\\002" FNR "\\002\\002\\002" $0; next }\n'
\set read :read 'usable && NF != fields { row("not as many fields as the header"); next }\n'
\set read :read 'usable { for (i = 1; i <= k; i++) v[i] = p[i] ? $p[i] : ""; row(logs ? log_reason() : track_reason()) }\n'
\setenv SPOTIFY_READ :read
