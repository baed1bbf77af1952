// grammar.y: the grammar of qa (Lemon).  The layout step has already decided
// what newlines, braces and words mean, so every rule here is context free;
// `lemon -c` reports no conflicts and keeps the tables that the "expected"
// lists need.  Nodes live in the source's arena: there is nothing to destroy.

%name grammar_
%token_prefix T_
%token_type {Tok}
%default_type {Node *}
%extra_context {Parse *p}
%stack_size 3000
%start_symbol module

%include {
#ifndef NDEBUG
#define NDEBUG /* the trace code keeps its state in globals */
#endif
#include "lang/syntax/lex.h"
#define SP(a, b) (a).start, (b).end
#define NS(n) (n)->span.start
#define NE(n) (n)->span.end
}
%syntax_error { explain_syntax_error(p, yypParser); }
%stack_overflow {
  if (!p->fatal) {
    const Tok *t = &p->toks.items[p->at];
    Diag *d = diag_add(p->diags, DIAG_ERROR, p->source, (Span){t->start, t->end},
                       "this is nested too deeply");
    diag_help(d, "split it with `let`");
  }
  p->fatal = true;
}

module ::= stmts.

// ---- statements ------------------------------------------------------------
// The driver sends every NL twice: the second one lets Lemon finish the
// statement before it sees the next, possibly wrong, token.
stmts(A) ::= . { A = mk(p, N_BLOCK, p->toks.items[p->at].start, p->toks.items[p->at].start);
                 if (!p->module) p->module = A; }
stmts(A) ::= stmts(B) NL. { A = B; }
stmts(A) ::= stmts(B) stmt(C) NL. { A = push(p, B, C); }
stmts(A) ::= stmts(B) error NL(T). {
  Node *n = mk(p, N_ERROR, p->error_start, T.end);   /* the text that was skipped */
  if (n->span.start > T.start) n->span.start = T.start;
  A = push(p, B, n);
  yypParser->yyerrcnt = -1;   /* Lemon's missing yyerrok: report the next line too */
}

stmt(A) ::= expr(B). { A = B; }
stmt(A) ::= expr(B) ASSIGN(T) expr(C). { A = mk_assign(p, B, T, OP_NONE, C); }
stmt(A) ::= expr(B) ADD_ASSIGN(T) expr(C). { A = mk_assign(p, B, T, OP_ADD, C); }
stmt(A) ::= expr(B) SUB_ASSIGN(T) expr(C). { A = mk_assign(p, B, T, OP_SUB, C); }
stmt(A) ::= expr(B) MUL_ASSIGN(T) expr(C). { A = mk_assign(p, B, T, OP_MUL, C); }
stmt(A) ::= expr(B) DIV_ASSIGN(T) expr(C). { A = mk_assign(p, B, T, OP_DIV, C); }
stmt(A) ::= expr(B) FLOORDIV_ASSIGN(T) expr(C). { A = mk_assign(p, B, T, OP_FLOORDIV, C); }
stmt(A) ::= expr(B) MOD_ASSIGN(T) expr(C). { A = mk_assign(p, B, T, OP_MOD, C); }
stmt(A) ::= expr(B) POW_ASSIGN(T) expr(C). { A = mk_assign(p, B, T, OP_POW, C); }
stmt(A) ::= expr(B) MATMUL_ASSIGN(T) expr(C). { A = mk_assign(p, B, T, OP_MATMUL, C); }
stmt(A) ::= let(B). { A = B; }
stmt(A) ::= KEEP(T) let(B). { A = mk(p, N_KEEP, T.start, NE(B)); A->a = own(p, A, B); }

let(A) ::= letword(T) pattern(B) ASSIGN expr(C). { A = mk_let(p, T, B, C); }
let(A) ::= letword(T) NAME(N) LBRACKET params_index(I) RBRACKET ASSIGN expr(C). {
  A = mk_arraydef(p, T, N, I, C);
}
%type letword {Tok}
letword(A) ::= LET(T). { A = T; }
letword(A) ::= VAR(T). { A = T; }
params_index(A) ::= NAME(T). { A = mk_list(p, N_TUPLE, name_node(p, T)); }
params_index(A) ::= params_index(B) COMMA NAME(T). { A = push(p, B, name_node(p, T)); }

pattern(A) ::= NAME(T). { A = name_node(p, T); }
pattern(A) ::= names_paren(B). { A = B; }
pattern(A) ::= LREC(O) fields_pattern(B) comma RREC(C). { A = wrap(B, N_RECORD, O, C); }
names_paren(A) ::= LPAREN(O) names(B) comma RPAREN(C). { A = wrap(B, N_TUPLE, O, C); }
names(A) ::= NAME(T). { A = mk_list(p, N_TUPLE, name_node(p, T)); }
names(A) ::= names(B) COMMA NAME(T). { A = push(p, B, name_node(p, T)); }
fields_pattern(A) ::= field_pattern(B). { A = mk_list(p, N_RECORD, B); }
fields_pattern(A) ::= fields_pattern(B) COMMA field_pattern(C). { A = push(p, B, C); }
field_pattern(A) ::= NAME(T). { A = mk_named(p, N_PAIR, T, T, name_node(p, T)); }
field_pattern(A) ::= NAME(T) COLON NAME(U). { A = mk_named(p, N_PAIR, T, T, name_node(p, U)); }
comma ::= .
comma ::= COMMA.

stmt(A) ::= FN(T) NAME(N) LPAREN params(P) RPAREN block(B). {
  A = mk_declaration(p, N_FN, T, N, P, B);
}
stmt(A) ::= FN(T) NAME(N) LPAREN params(P) RPAREN ASSIGN expr(B). {
  A = mk_declaration(p, N_FN, T, N, P, B);
  A->flags |= NODE_FN_EXPR;
}
params(A) ::= . { A = mk_list(p, N_TUPLE, NULL); }
params(A) ::= params1(B) comma. { A = B; }
params1(A) ::= param(B). { A = mk_list(p, N_TUPLE, B); }
params1(A) ::= params1(B) COMMA param(C). { A = push(p, B, C); }
param(A) ::= NAME(T). { A = mk_named(p, N_PARAM, T, T, NULL); }
param(A) ::= NAME(T) ASSIGN expr(B). { A = mk_named(p, N_PARAM, T, T, B); }
param(A) ::= NAME(T) LBRACKET args1(S) comma RBRACKET(C). { A = mk_shaped(p, T, S, C, NULL); }
param(A) ::= NAME(T) LBRACKET args1(S) comma RBRACKET(C) ASSIGN expr(B). {
  A = mk_shaped(p, T, S, C, B);
}

block(A) ::= LBRACE(O) stmts(B) RBRACE(C). { A = wrap(B, N_BLOCK, O, C); }

stmt(A) ::= RETURN(T). { A = mk_tok(p, N_RETURN, T); }
stmt(A) ::= RETURN(T) expr(B). { A = mk_unary(p, N_RETURN, OP_NONE, T, B); }
stmt(A) ::= BREAK(T). { A = mk_tok(p, N_BREAK, T); }
stmt(A) ::= CONTINUE(T). { A = mk_tok(p, N_CONTINUE, T); }
stmt(A) ::= FOR(T) clauses(L) guard(G) block(B). {
  A = L; A->kind = N_FOR; A->span.start = T.start; A->span.end = NE(B);
  A->c = own(p, A, G); A->b = own(p, A, B);
}
stmt(A) ::= WHILE(T) oper(C) block(B). {
  A = mk(p, N_WHILE, T.start, NE(B)); A->a = own(p, A, C); A->b = own(p, A, B);
}
stmt(A) ::= IMPORT(T) NAME(N). { A = mk_named(p, N_IMPORT, T, N, name_node(p, N)); }
stmt(A) ::= IMPORT(T) NAME(N) AS NAME(M). { A = mk_named(p, N_IMPORT, T, M, name_node(p, N)); }
stmt(A) ::= IMPORT(T) STR(S) AS NAME(M). { A = mk_named(p, N_IMPORT, T, M, str_node(p, S)); }
stmt(A) ::= INPUT(T) NAME(N) ASSIGN expr(B). { A = mk_named(p, N_INPUT, T, N, B); }

// ---- clauses of for, comprehensions, generators, sweep ----------------------
clauses(A) ::= clause(B). { A = mk_list(p, N_GEN, B); }
clauses(A) ::= clauses(B) COMMA clause(C). { A = mk_clause(p, B, C); }
clause(A) ::= binder(B). { A = mk_list(p, N_BIND, B); }
clause(A) ::= binder(B) IN oper(C). { A = mk_list(p, N_BIND, B); A->a = own(p, A, C); }
clause(A) ::= order(B). { A = B; }
clause(A) ::= order(B) IN oper(C). { A = B; A->a = own(p, A, C); }
binder(A) ::= NAME(T). { A = name_node(p, T); }
binder(A) ::= names_paren(B). { A = B; }
order(A) ::= NAME(T) orderop(O) NAME(U). {
  A = mk_order(p, mk_list(p, N_ORDER, name_node(p, T)), O, U);
}
order(A) ::= order(B) orderop(O) NAME(U). { A = mk_order(p, B, O, U); }
%type orderop {Tok}
orderop(A) ::= LT(T). { A = T; A.i = OP_LT; }
orderop(A) ::= LE(T). { A = T; A.i = OP_LE; }
orderop(A) ::= GT(T). { A = T; A.i = OP_GT; }
orderop(A) ::= GE(T). { A = T; A.i = OP_GE; }
guard(A) ::= . { A = NULL; }
guard(A) ::= IF oper(B). { A = B; }

// ---- declarations -----------------------------------------------------------
stmt(A) ::= ATTENTION(T) NAME(N) params_opt(P) block(B). {
  A = mk_declaration(p, N_ATTENTION, T, N, P, B);
}
stmt(A) ::= MODEL(T) NAME(N) params_opt(P) block(B). { A = mk_declaration(p, N_MODEL, T, N, P, B); }
stmt(A) ::= EXPERIMENT(T) NAME(N) params_opt(P) block(B). {
  A = mk_declaration(p, N_EXPERIMENT, T, N, P, B);
}
stmt(A) ::= HAMILTONIAN(T) NAME(N) params_opt(P) block(B). {
  A = mk_declaration(p, N_HAMILTONIAN, T, N, P, B);
}
stmt(A) ::= CIRCUIT(T) NAME(N) params_opt(P) block(B). {
  A = mk_declaration(p, N_CIRCUIT, T, N, P, B);
}
stmt(A) ::= VARIABLES(T) variables(L). { A = mk_variables(p, T, L); }
variables(A) ::= variable(B). { A = mk_list(p, N_VARIABLES, B); }
variables(A) ::= variables(B) COMMA variable(C). { A = push(p, B, C); }
variable(A) ::= NAME(T) shape(S) cutoff(C). { A = mk_shaped(p, T, S, T, C); }
cutoff(A) ::= . { A = NULL; }
cutoff(A) ::= CUTOFF oper(B). { A = B; }
stmt(A) ::= QUBITS(T) oper(B). { A = mk_unary(p, N_QUBITS, OP_NONE, T, B); }
stmt(A) ::= MINIMIZE(T) expr(B). { A = mk_unary(p, N_OBJECTIVE, OP_NONE, T, B); }
stmt(A) ::= MAXIMIZE(T) expr(B). { A = mk_unary(p, N_OBJECTIVE, OP_NONE, T, B); A->op = 1; }
stmt(A) ::= SUBJECT(T) oper(B) each(L) penalty(W). { A = mk_constraint(p, T, NULL, B, L, W); }
stmt(A) ::= SUBJECT(T) NAME(N) COLON oper(B) each(L) penalty(W). {
  A = mk_constraint(p, T, &N, B, L, W);
}
each(A) ::= . { A = NULL; }
each(A) ::= FOR clauses(L) guard(G). { A = L; A->b = own(p, A, G); }
penalty(A) ::= . { A = NULL; }
penalty(A) ::= PENALTY oper(B). { A = B; }
stmt(A) ::= REGISTER(T) variables(L). { A = mk_register(p, T, L); }
// A gate stands directly in front of what it acts on, as in OpenQASM; GATE is put there by
// the layout step.
stmt(A) ::= GATE postfix(G) operands(L). {
  A = L; A->kind = N_GATE; A->a = own(p, A, G); A->span.start = NS(G);
}
operands(A) ::= operand(B). { A = mk_list(p, N_GATE, B); }
operands(A) ::= operands(B) COMMA operand(C). { A = push(p, B, C); }
operand(A) ::= NAME(T). { A = name_node(p, T); }
operand(A) ::= operand(B) LBRACKET(O) index(I) comma RBRACKET(C). {
  A = wrap(I, N_INDEX, O, C); A->span.start = NS(B); A->a = own(p, A, B);
  A->span2 = (Span){SP(O, C)};
}
stmt(A) ::= WHEN(T) oper(C) block(B). { A = mk_section(p, T, 2, C, B); }
stmt(A) ::= CONTROL(T) oper(C) block(B). { A = mk_section(p, T, 1, C, B); }
stmt(A) ::= INVERSE(T) block(B). { A = mk_section(p, T, 0, NULL, B); }
params_opt(A) ::= . { A = mk_list(p, N_TUPLE, NULL); }
params_opt(A) ::= LPAREN params(B) RPAREN. { A = B; }
stmt(A) ::= PARAM(T) NAME(N) shape(S) ASSIGN expr(B). { A = mk_leaf(p, T, N, S, B); }
stmt(A) ::= PARAM(T) NAME(N) shape(S). { A = mk_leaf(p, T, N, S, NULL); }
shape(A) ::= . { A = NULL; }
shape(A) ::= LBRACKET(O) args1(B) comma RBRACKET(C). { A = wrap(B, N_CALL, O, C); }
stmt(A) ::= SWEEP(T) clauses(L) guard(G). {
  A = L; A->kind = N_SWEEP; A->span.start = T.start; A->c = own(p, A, G);
}
stmt(A) ::= REPEAT(T) NAME(N) oper(B). { A = mk_named(p, N_REPEAT, T, N, B); }
stmt(A) ::= RECORD(T) NAME(N) ASSIGN expr(B). { A = mk_named(p, N_COLUMN, T, N, B); }
stmt(A) ::= CURVE(T) NAME(N) ASSIGN expr(B). { A = mk_named(p, N_CURVE, T, N, B); }
stmt(A) ::= ARTIFACT(T) NAME(N) ASSIGN expr(B). { A = mk_named(p, N_ARTIFACT, T, N, B); }
stmt(A) ::= REPORT(T) block(B). { A = mk(p, N_REPORT, T.start, NE(B)); A->b = own(p, A, B); }
stmt(A) ::= BUDGET(T) block(B). { A = mk_budget(p, T, B); }
stmt(A) ::= CLAIM(T) expr(B). { A = mk_unary(p, N_CLAIM, OP_NONE, T, B); }

// ---- expressions, loosest first ---------------------------------------------
expr(A) ::= oper(B). { A = B; }
expr(A) ::= block(B). { A = B; }
expr(A) ::= ifexpr(B). { A = B; }
expr(A) ::= WITH(T) NAME(N) LPAREN expr(S) RPAREN block(B). { A = mk_with(p, T, N, S, B); }
expr(A) ::= NAME(T) ARROW expr(B). {
  A = mk_list(p, N_LAMBDA, mk_named(p, N_PARAM, T, T, NULL)); A->b = own(p, A, B);
}
expr(A) ::= LPAREN_LAMBDA(O) params(P) RPAREN ARROW expr(B). {
  A = P; A->kind = N_LAMBDA; A->span.start = O.start; A->b = own(p, A, B); A->span.end = NE(B);
}
expr(A) ::= TRY(T) oper(B) ELSE expr(C). {
  A = mk(p, N_TRY, T.start, NE(C)); A->a = own(p, A, B); A->b = own(p, A, C);
}
expr(A) ::= TRY(T) block(B) ELSE expr(C). {
  A = mk(p, N_TRY, T.start, NE(C)); A->a = own(p, A, B); A->b = own(p, A, C);
}
expr(A) ::= TRY(T) block(B) CATCH NAME(N) block(C). {
  A = mk(p, N_TRY, T.start, NE(C)); A->a = own(p, A, B); A->b = own(p, A, C);
  A->name = N.text; A->span2 = (Span){SP(N, N)};
}
expr(A) ::= TRY(T) block(B) CATCH block(C). {
  A = mk(p, N_TRY, T.start, NE(C)); A->a = own(p, A, B); A->b = own(p, A, C);
}
ifexpr(A) ::= IF(T) oper(C) block(B). {
  A = mk(p, N_IF, T.start, NE(B)); A->a = own(p, A, C); A->b = own(p, A, B);
}
ifexpr(A) ::= IF(T) oper(C) block(B) ELSE block(D). {
  A = mk(p, N_IF, T.start, NE(D));
  A->a = own(p, A, C); A->b = own(p, A, B); A->c = own(p, A, D);
}
ifexpr(A) ::= IF(T) oper(C) block(B) ELSE ifexpr(D). {
  A = mk(p, N_IF, T.start, NE(D));
  A->a = own(p, A, C); A->b = own(p, A, B); A->c = own(p, A, D);
}

oper(A) ::= or(B). { A = B; }
oper(A) ::= oper(B) PIPE(T) or(C). { A = mk_pipe(p, B, T, C); }
or(A) ::= and(B). { A = B; }
or(A) ::= or(B) OR(T) and(C). { A = mk_binary(p, N_OR, OP_NONE, B, T, C); }
and(A) ::= not(B). { A = B; }
and(A) ::= and(B) AND(T) not(C). { A = mk_binary(p, N_AND, OP_NONE, B, T, C); }
not(A) ::= cmp(B). { A = B; }
not(A) ::= NOT(T) not(B). { A = mk_unary(p, N_UNARY, OP_NOT, T, B); }
cmp(A) ::= range(B). { A = B; }
cmp(A) ::= cmp(B) EQ(T) range(C). { A = mk_compare(p, OP_EQ, B, T, C); }
cmp(A) ::= cmp(B) NE(T) range(C). { A = mk_compare(p, OP_NE, B, T, C); }
cmp(A) ::= cmp(B) LT(T) range(C). { A = mk_compare(p, OP_LT, B, T, C); }
cmp(A) ::= cmp(B) LE(T) range(C). { A = mk_compare(p, OP_LE, B, T, C); }
cmp(A) ::= cmp(B) GT(T) range(C). { A = mk_compare(p, OP_GT, B, T, C); }
cmp(A) ::= cmp(B) GE(T) range(C). { A = mk_compare(p, OP_GE, B, T, C); }
cmp(A) ::= cmp(B) IN(T) range(C). { A = mk_compare(p, OP_IN, B, T, C); }
cmp(A) ::= cmp(B) NOT(T) IN range(C). { A = mk_compare(p, OP_NOT_IN, B, T, C); }
range(A) ::= sum(B). { A = B; }
range(A) ::= sum(B) DOTDOT(T) sum(C). { A = mk_binary(p, N_RANGE, 0, B, T, C); }
range(A) ::= sum(B) DOTDOTEQ(T) sum(C). { A = mk_binary(p, N_RANGE, 1, B, T, C); }
sum(A) ::= term(B). { A = B; }
sum(A) ::= sum(B) PLUS(T) term(C). { A = mk_binary(p, N_BINARY, OP_ADD, B, T, C); }
sum(A) ::= sum(B) MINUS(T) term(C). { A = mk_binary(p, N_BINARY, OP_SUB, B, T, C); }
term(A) ::= unary(B). { A = B; }
term(A) ::= term(B) STAR(T) unary(C). { A = mk_binary(p, N_BINARY, OP_MUL, B, T, C); }
term(A) ::= term(B) SLASH(T) unary(C). { A = mk_binary(p, N_BINARY, OP_DIV, B, T, C); }
term(A) ::= term(B) FLOORDIV(T) unary(C). { A = mk_binary(p, N_BINARY, OP_FLOORDIV, B, T, C); }
term(A) ::= term(B) PERCENT(T) unary(C). { A = mk_binary(p, N_BINARY, OP_MOD, B, T, C); }
term(A) ::= term(B) AT(T) unary(C). { A = mk_binary(p, N_BINARY, OP_MATMUL, B, T, C); }
unary(A) ::= power(B). { A = B; }
unary(A) ::= MINUS(T) unary(B). { A = mk_unary(p, N_UNARY, OP_NEG, T, B); }
power(A) ::= postfix(B). { A = B; }
power(A) ::= postfix(B) CARET(T) unary(C). { A = mk_binary(p, N_BINARY, OP_POW, B, T, C); }

postfix(A) ::= primary(B). { A = B; }
postfix(A) ::= postfix(B) QUOTE(T). {
  A = mk(p, N_TRANSPOSE, NS(B), T.end); A->a = own(p, A, B);
}
postfix(A) ::= postfix(B) DOT NAME(N). {
  A = mk(p, N_FIELD, NS(B), N.end); A->a = own(p, A, B);
  A->name = N.text; A->span2 = (Span){SP(N, N)};
}
postfix(A) ::= postfix(B) LBRACKET(O) index(I) comma RBRACKET(C). {
  A = wrap(I, N_INDEX, O, C); A->span.start = NS(B); A->a = own(p, A, B);
  A->span2 = (Span){SP(O, C)};
}
postfix(A) ::= postfix(B) LPAREN(O) args(I) RPAREN(C). {
  A = wrap(I, N_CALL, O, C); A->span.start = NS(B); A->a = own(p, A, B);
  A->span2 = (Span){SP(O, C)};
}
index(A) ::= item(B). { A = mk_list(p, N_INDEX, B); }
index(A) ::= index(B) COMMA item(C). { A = push(p, B, C); }
item(A) ::= expr(B). { A = B; }
item(A) ::= COLON(T). { A = mk_tok(p, N_ALL, T); }
item(A) ::= sum(B) DOTDOT(T). { A = mk_binary(p, N_RANGE, 0, B, T, NULL); }
item(A) ::= sum(B) DOTDOTEQ(T). { A = mk_binary(p, N_RANGE, 1, B, T, NULL); }
item(A) ::= DOTDOT(T) sum(B). { A = mk_binary(p, N_RANGE, 0, NULL, T, B); }
item(A) ::= DOTDOTEQ(T) sum(B). { A = mk_binary(p, N_RANGE, 1, NULL, T, B); }
item(A) ::= DOTDOT(T). { A = mk_binary(p, N_RANGE, 0, NULL, T, NULL); }

args(A) ::= . { A = mk_list(p, N_CALL, NULL); }
args(A) ::= args1(B) comma. { A = B; }
args(A) ::= gen(B). { A = mk_list(p, N_CALL, B); }
args(A) ::= args1(B) COMMA gen(C). { A = push(p, B, C); }
args1(A) ::= arg(B). { A = mk_list(p, N_CALL, B); }
args1(A) ::= args1(B) COMMA arg(C). { A = push(p, B, C); }
arg(A) ::= expr(B). { A = B; }
arg(A) ::= NAME(T) ASSIGN expr(B). { A = mk_named(p, N_ARG, T, T, B); }
gen(A) ::= expr(B) FOR clauses(L) guard(G). {
  A = L; A->kind = N_GEN; A->a = own(p, A, B); A->b = own(p, A, G); A->span.start = NS(B);
}

primary(A) ::= NAME(T). { A = name_node(p, T); }
primary(A) ::= NIL(T). { A = mk_tok(p, N_NIL, T); }
primary(A) ::= TRUE(T). { A = mk_tok(p, N_BOOL, T); A->i = 1; }
primary(A) ::= FALSE(T). { A = mk_tok(p, N_BOOL, T); A->i = 0; }
primary(A) ::= INT(T). { A = mk_tok(p, N_INT, T); A->i = T.i; }
primary(A) ::= FLOAT(T). { A = mk_tok(p, N_FLOAT, T); A->f = T.f; }
primary(A) ::= IMAG(T). { A = mk_tok(p, N_IMAG, T); A->f = T.f; }
primary(A) ::= QUANTITY(T). {
  A = mk_tok(p, N_QUANTITY, T); A->f = T.f;
  for (int i = 0; i < 4; i++) A->dims[i] = T.dims[i];
}
primary(A) ::= STR(T). { A = str_node(p, T); }
primary(A) ::= interp(B) HOLE_END(H) STR_END(T). {
  A = B; A->items[A->n - 1]->name = H.text;
  if (T.i) push(p, A, str_node(p, T));
  A->span.end = T.end;
}
interp(A) ::= STR_BEGIN(T) expr(B). {
  A = mk_tok(p, N_INTERP, T);
  if (T.i) push(p, A, str_node(p, T));
  Node *h = mk(p, N_HOLE, NS(B), NE(B)); h->a = own(p, h, B); push(p, A, h);
}
interp(A) ::= interp(L) HOLE_END(H) STR_MID(T) expr(B). {
  A = L; A->items[A->n - 1]->name = H.text;
  if (T.i) push(p, A, str_node(p, T));
  Node *h = mk(p, N_HOLE, NS(B), NE(B)); h->a = own(p, h, B); push(p, A, h);
}
primary(A) ::= LPAREN(O) RPAREN(C). { A = mk(p, N_TUPLE, O.start, C.end); }
primary(A) ::= LPAREN(O) exprs(B) RPAREN(C). { A = mk_paren(p, O, B, C, false); }
primary(A) ::= LPAREN(O) exprs(B) COMMA RPAREN(C). { A = mk_paren(p, O, B, C, true); }
primary(A) ::= LBRACKET(O) RBRACKET(C). { A = mk(p, N_BRACKET, O.start, C.end); }
primary(A) ::= LBRACKET(O) exprs(B) comma RBRACKET(C). { A = wrap(B, N_BRACKET, O, C); }
primary(A) ::= LBRACKET(O) gen(B) RBRACKET(C). { A = wrap(B, N_COMPREHENSION, O, C); }
primary(A) ::= LREC(O) RREC(C). { A = mk(p, N_RECORD, O.start, C.end); }
primary(A) ::= LREC(O) pairs(B) comma RREC(C). { A = wrap(B, N_RECORD, O, C); }
exprs(A) ::= expr(B). { A = mk_list(p, N_TUPLE, B); }
exprs(A) ::= exprs(B) COMMA expr(C). { A = push(p, B, C); }
pairs(A) ::= pair(B). { A = mk_list(p, N_RECORD, B); }
pairs(A) ::= pairs(B) COMMA pair(C). { A = push(p, B, C); }
pair(A) ::= NAME(T) COLON expr(B). { A = mk_named(p, N_PAIR, T, T, B); }
pair(A) ::= STR(T) COLON expr(B). { A = mk_named(p, N_PAIR, T, T, B); }

// A token that no rule uses: the layout takes it out of the stream.
%token SEMICOLON.

%code {
/* Replays the moves that `token` would cause on a copy of the state stack,
 * without semantic values: would it be shifted?                              */
bool grammar_accepts(void *parser, int token) {
  yyParser *y = parser;
  YYACTIONTYPE stack[64];     /* what is above `keep` in the real stack        */
  yyStackEntry *keep = y->yytos;
  int n = 0;
  for (int guard = 0; guard < 400; guard++) {
    YYACTIONTYPE state = n > 0 ? stack[n - 1] : keep->stateno;
    YYACTIONTYPE act = yy_find_shift_action((YYCODETYPE)token, state);
    if (act == YY_ACCEPT_ACTION || act <= YY_MAX_SHIFTREDUCE) return true;
    if (act < YY_MIN_REDUCE) return false;
    unsigned rule = act - YY_MIN_REDUCE;
    int drop = -yyRuleInfoNRhs[rule];
    if (drop <= n) n -= drop;
    else { keep -= drop - n; n = 0; }
    if (keep < y->yystack || n >= 63) return false;
    state = n > 0 ? stack[n - 1] : keep->stateno;
    stack[n++] = yy_find_reduce_action(state, (YYCODETYPE)yyRuleInfoLhs[rule]);
  }
  return false;
}
}
