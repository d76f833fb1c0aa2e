-- csv_lines.sql: how the lines of a CSV file are read.  Included by load_csv.sql.
--
-- Sets the environment variable CSV_READ to a program for awk.  Of each line it writes the
-- number, the reason if it can't be used and then the line itself, and the values of the columns
-- wanted, with a byte 2 between them, which no line may hold.  Columns wanted are separated
-- by commas, the names of each by bars; header names the columns of a file that has no
-- header line.

\set read 'function fields(s, i, f, n) {\n'
\set read :read '  bad = ""; n = 0\n'
\set read :read '  while (1) {\n'
\set read :read '    n++\n'
\set read :read '    if (substr(s, 1, 1) != "\\"") {\n'
\set read :read '      if (!(i = index(s, delimiter))) { v[n] = s; return n }\n'
\set read :read '      v[n] = substr(s, 1, i - 1); s = substr(s, i + 1); continue }\n'
\set read :read '    for (f = ""; ; f = f "\\"") {\n'
\set read :read '      s = substr(s, 2)\n'
\set read :read '      if (!(i = index(s, "\\""))) { bad = "a quote without an end"; return n }\n'
\set read :read '      f = f substr(s, 1, i - 1); s = substr(s, i + 1)\n'
\set read :read '      if (substr(s, 1, 1) != "\\"") break }\n'
\set read :read '    v[n] = f\n'
\set read :read '    if (s == "") return n\n'
\set read :read '    if (substr(s, 1, 1) != delimiter) { bad = "text after a quote"; return n }\n'
\set read :read '    s = substr(s, 2) } }\n'
\set read :read 'function row(reason, i, s) {\n'
\set read :read '  s = NR "\\002" reason "\\002" (reason == "" ? "" : substr(content, 1, 1000))\n'
\set read :read '  for (i = 1; i <= k; i++) s = s "\\002" (reason == "" && at[i] ? v[at[i]] : "")\n'
\set read :read '  print s }\n'
\set read :read 'function columns(n, i, j, m, name, place) {\n'
\set read :read '  for (i = n; i > 0; i--) { name = tolower(v[i]); gsub(/^ +| +$/, "", name); place[name] = i }\n'
\set read :read '  for (i = 1; i <= k; i++) { m = split(w[i], name_of, "|"); at[i] = 0\n'
\set read :read '    for (j = m; j > 0; j--) if (tolower(name_of[j]) in place) at[i] = place[tolower(name_of[j])] }\n'
\set read :read '  wide = n; for (i = 1; i <= needed; i++) if (!at[i]) return "not a header: no column " w[i]\n'
\set read :read '  return "" }\n'
\set read :read 'BEGIN { k = split(wanted, w, ","); if (header != "") { wide = split(header, v, ","); content = header; missing = columns(wide) } }\n'
\set read :read '{ content = $0; sub(/ +$/, "") }\n'
\set read :read 'NR == 1 && header == "" { sub(/^\\357\\273\\277/, ""); n = fields($0); missing = columns(n); if (missing) row(missing); next }\n'
\set read :read 'missing { if (NR > 1 || header != "") row(missing); next }\n'
\set read :read 'length($0) > 1800 { row("too long"); next }\n'
\set read :read '{ n = fields($0); row(bad ? bad : n != wide ? "not as many fields as the header" : "") }\n'
\setenv CSV_READ :read
