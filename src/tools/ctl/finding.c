/* SPDX-License-Identifier: ISC */
#include "tools/ctl/finding.h"

#include <stdio.h>
#include <string.h>

enum { FINDING_LINE_MAX = 32768 };

static const char *
finding_text(const json_t *check, const char *member)
{
	const char *s = json_string_value(json_object_get(check, member));

	return s != NULL ? s : "";
}

static void
finding_add(struct buf *line, int indent, const char *before,
    const char *text)
{
	if (text[0] != '\0')
		buf_printf(line, "\n%*s%s%s", indent, "", before, text);
}

/* "203.0.113.10 softfail   203.0.113.11 softfail   look-ups used: 1 of 10" */
static void
finding_add_results(struct buf *line, int indent, const json_t *detail)
{
	json_t	   *results = json_object_get(detail, "Results"), *v;
	const char *ip, *text;

	if (results == NULL)
		return;
	buf_printf(line, "\n%*s", indent, "");
	json_object_foreach(results, ip, v) {
		text = json_string_value(v);
		buf_printf(line, "%s %s   ", ip, text != NULL ? text : "-");
	}
	buf_printf(line, "look-ups used: %d of 10",
	    (int)json_integer_value(json_object_get(detail, "Lookups")));
}

/* An earlier one that is mended in the same way; NULL = none. */
static const json_t *
finding_alike(const json_t *checks, size_t i)
{
	const json_t *own = json_array_get(checks, i), *other;
	size_t	      k;

	for (k = 0; k < i; k++) {
		other = json_array_get(checks, k);
		if (strcmp(finding_text(other, "Hint"),
			finding_text(own, "Hint")) == 0 &&
		    strcmp(finding_text(other, "Then"),
			finding_text(own, "Then")) == 0)
			return other;
	}
	return NULL;
}

static void
finding_add_remedy(struct buf *line, int indent, const json_t *checks,
    size_t i)
{
	const json_t *own = json_array_get(checks, i), *other;
	const char   *action = finding_text(own, "Action");
	const char   *note = finding_text(own, "Note");
	const char   *before = strcmp(action, "PUBLISH") == 0 ? "publish: " :
	      strcmp(action, "SET") == 0 ? "posthorn.conf: " : "run: ";

	if (finding_text(own, "Hint")[0] == '\0')
		return;
	other = finding_alike(checks, i);
	if (other != NULL) {
		buf_printf(line, "\n%*s%sas for %s above", indent, "", before,
		    finding_text(other, "Id"));
		return;
	}
	finding_add(line, indent, before, finding_text(own, "Hint"));
	if (note[0] != '\0')
		buf_printf(line, "\n%*s(%s)", indent, "", note);
	finding_add(line, indent, "then run: ", finding_text(own, "Then"));
}

void
finding_print(struct ctl *c, json_t *checks, size_t i,
    const struct finding_form *form)
{
	json_t	   *own = json_array_get(checks, i);
	json_t	   *detail = json_object_get(own, "Detail");
	const char *result = finding_text(own, "Result");
	const char *word = strcmp(result, "PASS") == 0 ? "ok" :
	      strcmp(result, "WARN") == 0 ? "warn" : result;
	int	    indent = form->result_width + form->id_width + 2;
	struct buf  line;

	if (result[0] == '\0')
		return;
	buf_init(&line, FINDING_LINE_MAX);
	/* a long word takes from the blanks behind the next one */
	buf_printf(&line, "%-*s ", form->result_width, word);
	buf_printf(&line, "%-*s ", indent - (int)line.n - 1,
	    finding_text(own, "Id"));
	ctl_value_text(c, json_object_get(own, "Description"), &line);
	finding_add(&line, indent, "", finding_text(detail, "Reason"));
	if (strcmp(result, "PASS") != 0)
		finding_add_results(&line, indent, detail);
	finding_add_remedy(&line, indent, checks, i);
	printf("%.*s\n", (int)line.n, line.p);
	buf_wipe(&line);
}
