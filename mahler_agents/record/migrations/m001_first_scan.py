"""Record: the tables of a scan, its orders and its record."""

STATEMENTS = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        slot TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed')),
        as_of TEXT NOT NULL,
        decision_at TEXT NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT,
        environment TEXT NOT NULL CHECK (environment IN ('paper', 'live')),
        market TEXT NOT NULL,
        source TEXT NOT NULL,
        synthetic INTEGER NOT NULL,
        broker TEXT NOT NULL,
        account_id TEXT NOT NULL,
        model TEXT NOT NULL,
        toy_model INTEGER NOT NULL,
        snapshot_hash TEXT REFERENCES snapshots (hash),
        version TEXT NOT NULL,
        config TEXT NOT NULL,
        screen TEXT,
        error TEXT
    )
    """,
    "CREATE INDEX runs_by_start ON runs (started_at)",
    """
    CREATE TABLE snapshots (
        hash TEXT PRIMARY KEY,
        as_of TEXT NOT NULL,
        market TEXT NOT NULL,
        synthetic INTEGER NOT NULL,
        content BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE candidates (
        id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES runs (id),
        rank INTEGER NOT NULL,
        underlying TEXT NOT NULL,
        spread_type TEXT NOT NULL CHECK (spread_type IN ('bull_put', 'bear_call')),
        expiration TEXT NOT NULL,
        short_strike REAL NOT NULL,
        long_strike REAL NOT NULL,
        dte INTEGER NOT NULL,
        credit REAL NOT NULL,
        score REAL NOT NULL,
        iv_rank REAL,
        reviewed INTEGER NOT NULL,
        decision TEXT CHECK (decision IN ('traded', 'skipped')),
        reason TEXT,
        ai_summary TEXT,
        confidence REAL,
        facts TEXT NOT NULL,
        UNIQUE (run_id, rank)
    )
    """,
    """
    CREATE TABLE spans (
        id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES runs (id),
        candidate_id TEXT REFERENCES candidates (id),
        name TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('ok', 'failed', 'error')),
        started_at TEXT NOT NULL,
        milliseconds REAL NOT NULL,
        detail TEXT
    )
    """,
    "CREATE INDEX spans_by_run ON spans (run_id)",
    """
    CREATE TABLE prompts (
        hash TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        content TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE briefs (
        hash TEXT PRIMARY KEY,
        role TEXT NOT NULL,
        content TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE llm_calls (
        id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES runs (id),
        candidate_id TEXT REFERENCES candidates (id),
        span_id TEXT NOT NULL,
        role TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        model TEXT NOT NULL,
        prompt_hash TEXT NOT NULL,
        brief_hash TEXT,
        request TEXT NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT,
        outcome TEXT CHECK (outcome IN ('replied', 'http_error', 'broken', 'cancelled')),
        http_status INTEGER,
        response TEXT,
        finish_reason TEXT,
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        resolved_model TEXT,
        system_fingerprint TEXT,
        error TEXT
    )
    """,
    "CREATE INDEX llm_calls_by_run ON llm_calls (run_id)",
    """
    CREATE TABLE opinions (
        candidate_id TEXT NOT NULL REFERENCES candidates (id),
        analyst TEXT NOT NULL,
        stance TEXT NOT NULL CHECK (stance IN ('favourable', 'neutral', 'unfavourable')),
        confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
        p_profit REAL NOT NULL CHECK (p_profit BETWEEN 0 AND 1),
        summary TEXT NOT NULL,
        details TEXT NOT NULL,
        brief_hash TEXT NOT NULL REFERENCES briefs (hash),
        prompt_hash TEXT NOT NULL REFERENCES prompts (hash),
        model TEXT NOT NULL,
        PRIMARY KEY (candidate_id, analyst)
    )
    """,
    """
    CREATE TABLE failures (
        candidate_id TEXT NOT NULL REFERENCES candidates (id),
        role TEXT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,
        retryable INTEGER NOT NULL,
        raw_reply TEXT,
        brief_hash TEXT REFERENCES briefs (hash),
        prompt_hash TEXT REFERENCES prompts (hash),
        PRIMARY KEY (candidate_id, role)
    )
    """,
    """
    CREATE TABLE verdicts (
        candidate_id TEXT PRIMARY KEY REFERENCES candidates (id),
        approved INTEGER NOT NULL,
        contracts INTEGER NOT NULL,
        confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
        p_profit REAL NOT NULL CHECK (p_profit BETWEEN 0 AND 1),
        summary TEXT NOT NULL,
        brief_hash TEXT NOT NULL REFERENCES briefs (hash),
        prompt_hash TEXT NOT NULL REFERENCES prompts (hash),
        model TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE advice (
        candidate_id TEXT PRIMARY KEY REFERENCES candidates (id),
        level TEXT NOT NULL CHECK (level IN ('high', 'medium', 'low', 'none')),
        would_veto INTEGER NOT NULL,
        rejected INTEGER NOT NULL,
        proceed INTEGER NOT NULL,
        code TEXT NOT NULL,
        message TEXT NOT NULL,
        recorded_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE sizings (
        candidate_id TEXT PRIMARY KEY REFERENCES candidates (id),
        contracts INTEGER NOT NULL,
        binding TEXT NOT NULL,
        limit_credit REAL NOT NULL,
        max_loss_dollars REAL NOT NULL,
        constraints TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE orders (
        client_order_id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL,
        slot TEXT NOT NULL,
        candidate_id TEXT REFERENCES candidates (id),
        purpose TEXT NOT NULL CHECK (purpose IN ('entry', 'exit')),
        closes TEXT REFERENCES orders (client_order_id),
        rule TEXT,
        state TEXT NOT NULL,
        reason TEXT,
        underlying TEXT NOT NULL,
        spread_type TEXT NOT NULL CHECK (spread_type IN ('bull_put', 'bear_call')),
        expiration TEXT NOT NULL,
        short_strike REAL NOT NULL,
        long_strike REAL NOT NULL,
        short_symbol TEXT NOT NULL,
        long_symbol TEXT NOT NULL,
        contracts INTEGER NOT NULL CHECK (contracts > 0),
        limit_credit REAL NOT NULL,
        decided_at TEXT NOT NULL,
        broker_order_id TEXT,
        short_bid REAL,
        short_ask REAL,
        long_bid REAL,
        long_ask REAL
    )
    """,
    "CREATE INDEX orders_by_state ON orders (account_id, state)",
    """
    CREATE TABLE fills (
        client_order_id TEXT NOT NULL REFERENCES orders (client_order_id),
        number INTEGER NOT NULL,
        at TEXT NOT NULL,
        contracts INTEGER NOT NULL CHECK (contracts > 0),
        credit REAL NOT NULL,
        fees REAL NOT NULL,
        PRIMARY KEY (client_order_id, number)
    )
    """,
    """
    CREATE TABLE positions (
        entry_order_id TEXT PRIMARY KEY REFERENCES orders (client_order_id),
        account_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
        underlying TEXT NOT NULL,
        spread_type TEXT NOT NULL CHECK (spread_type IN ('bull_put', 'bear_call')),
        expiration TEXT NOT NULL,
        short_strike REAL NOT NULL,
        long_strike REAL NOT NULL,
        short_symbol TEXT NOT NULL,
        long_symbol TEXT NOT NULL,
        contracts INTEGER NOT NULL,
        entry_credit REAL NOT NULL,
        fees REAL NOT NULL,
        opened_at TEXT NOT NULL
    )
    """,
    "CREATE INDEX positions_by_state ON positions (account_id, state)",
    """
    CREATE TABLE marks (
        entry_order_id TEXT NOT NULL REFERENCES positions (entry_order_id),
        at TEXT NOT NULL,
        mid_cost REAL,
        natural_cost REAL,
        PRIMARY KEY (entry_order_id, at)
    )
    """,
    """
    CREATE TABLE outcomes (
        entry_order_id TEXT PRIMARY KEY REFERENCES positions (entry_order_id),
        exit_order_id TEXT NOT NULL REFERENCES orders (client_order_id),
        rule TEXT NOT NULL,
        closed_at TEXT NOT NULL,
        exit_debit REAL NOT NULL,
        fees REAL NOT NULL,
        pnl_dollars REAL NOT NULL
    )
    """,
    """
    CREATE TABLE shadows (
        candidate_id TEXT PRIMARY KEY REFERENCES candidates (id),
        account_id TEXT NOT NULL,
        underlying TEXT NOT NULL,
        spread_type TEXT NOT NULL CHECK (spread_type IN ('bull_put', 'bear_call')),
        expiration TEXT NOT NULL,
        short_strike REAL NOT NULL,
        long_strike REAL NOT NULL,
        short_symbol TEXT NOT NULL,
        long_symbol TEXT NOT NULL,
        entry_credit REAL NOT NULL,
        entered_at TEXT NOT NULL,
        exit_rule TEXT,
        exit_at TEXT,
        exit_debit REAL,
        exit_pnl_dollars REAL,
        daily_exit_rule TEXT,
        daily_exit_at TEXT,
        daily_exit_debit REAL,
        daily_exit_pnl_dollars REAL
    )
    """,
    """
    CREATE INDEX shadows_followed ON shadows (account_id, entered_at) WHERE exit_at IS NULL OR daily_exit_at IS NULL
    """,
    """
    CREATE TABLE equity (
        account_id TEXT NOT NULL,
        at TEXT NOT NULL,
        equity REAL NOT NULL,
        cash REAL NOT NULL,
        PRIMARY KEY (account_id, at)
    )
    """,
    """
    CREATE TABLE paper_accounts (
        account_id TEXT PRIMARY KEY,
        cash_cents INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE paper_orders (
        client_order_id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL REFERENCES paper_accounts (account_id),
        state TEXT NOT NULL CHECK (state IN ('filled', 'canceled')),
        contracts INTEGER NOT NULL,
        credit REAL,
        fees REAL NOT NULL,
        at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE paper_positions (
        account_id TEXT NOT NULL REFERENCES paper_accounts (account_id),
        symbol TEXT NOT NULL,
        contracts INTEGER NOT NULL,
        last_mid REAL NOT NULL,
        last_quoted_at TEXT NOT NULL,
        PRIMARY KEY (account_id, symbol)
    )
    """,
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        run_id TEXT REFERENCES runs (id),
        candidate_id TEXT REFERENCES candidates (id),
        at TEXT NOT NULL,
        level TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
        code TEXT NOT NULL,
        message TEXT NOT NULL
    )
    """,
)
