/* SPDX-License-Identifier: ISC */
/*
 * A line of the control socket, from somebody who may connect: the first
 * octet chooses his role, the rest is the line.  What is refused has a text
 * and changes nothing; what passes has a command he has the right to, and
 * arguments whose readers stay inside their bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "daemon/control_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = { "ready", "held", NULL };

static void
read_one(struct request *q, const char *name)
{
	char	    text[32];
	int64_t	    n = 0;
	double	    amount = 0;
	struct wall w = { 0 };
	bool	    on;
	int	    word = 0;

	if (arg_copy(q, name, text, sizeof(text)) == 1)
		must(strlen(text) < sizeof(text));
	if (arg_int(q, name, -5, 500, &n) == 1)
		must(n >= -5 && n <= 500);
	if (arg_amount(q, name, &amount) == 1)
		must(amount == -1 || (amount >= 0 && amount < 1e15));
	if (arg_time(q, name, &w) == 1)
		must(w.ms >= 0);
	if (arg_word(q, name, words, &word) == 1)
		must(word == 0 || word == 1);
	(void)arg_switch(q, name, &on);
	must(!arg_is_true(q, name) || arg_has(q, name));
	must(arg_list(q, name) == NULL || arg_text(q, name) == NULL);
}

static void
read_page(struct request *q)
{
	struct page p;
	size_t	    rows = 0;

	if (page_open(q, &p) != 0)
		return;
	while (rows < 600 && !page_is_full(&p)) {
		if (page_wants(&p, "k"))
			json_array_append_new(p.rows, json_null());
		rows++;
	}
	page_close(q, &p, "Rows");
}

/* As the log shows it: one line, whatever stands in it. */
static void
audit(const struct request *q)
{
	json_t *shown = args_for_audit(q);
	char   *text = json_dumps(shown, CONTROL_JSON_FLAGS);

	must(text != NULL && strchr(text, '\n') == NULL);
	free(text);
	json_decref(shown);
}

static void
wipe(struct request *q)
{
	json_decref(q->root);
	json_decref(q->result);
	json_decref(q->warnings);
	json_decref(q->would);
	json_decref(q->errors);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct control_right rights[] = {
		{ CONTROL_FULL, "", NULL },
		{ CONTROL_FULL, "123456789012", NULL },
		{ CONTROL_READ, "", NULL }, { CONTROL_SEND, "", NULL },
	};
	struct request *q;
	const char     *name;
	json_t	       *v;
	struct bytes	line;

	if (size < 1)
		return 0;
	line = (struct bytes){ (const char *)data + 1, size - 1 };
	q = mem_alloc(sizeof(*q));
	q->result = json_object();
	q->right = rights[data[0] % 4];
	if (request_parse(q, line) != 0) {
		must(q->err.text[0] != '\0');
	} else {
		must(control_may(&q->right, q->command));
		must(json_is_object(q->args));
		json_object_foreach(q->args, name, v)
			read_one(q, name);
		q->err.text[0] = '\0';
		read_page(q);
		audit(q);
	}
	wipe(q);
	mem_free(q);
	return 0;
}
