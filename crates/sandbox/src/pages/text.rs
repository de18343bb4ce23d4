//! Every sentence that a buyer reads, in each language, in one table.
//!
//! A sentence may hold `{names}` that [`say`] replaces. A test holds both languages to the same names. Operators' pages
//! are English only and keep their words beside their markup.

use super::views::Locale;

macro_rules! texts {
    ($($name:ident: $en:literal, $ja:literal;)*) => {
        /// A sentence of the pages, by what it means.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Text { $($name,)* }

        impl Text {
            /// All of them, for tests.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];
        }

        /// The sentence in a language.
        pub(super) fn t(locale: Locale, text: Text) -> &'static str {
            match (text, locale) {
                $((Text::$name, Locale::En) => $en, (Text::$name, Locale::Ja) => $ja,)*
            }
        }
    };
}

/// The sentence with its `{names}` replaced. Values are put in as they are; escaping is the template's.
pub(super) fn say(locale: Locale, text: Text, values: &[(&str, &str)]) -> String {
    let mut rest = t(locale, text);
    let mut said = String::with_capacity(rest.len() + 32);
    // One pass, so that a value that itself holds `{names}` stays as it is.
    while let Some((before, after)) = rest.split_once('{') {
        said.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            said.push('{');
            rest = after;
            continue;
        };
        said.push_str(values.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value));
        rest = tail;
    }
    said.push_str(rest);
    said
}

texts! {
    // The frame.
    Band: "Sandbox: no money moves here", "サンドボックス：お金は動きません";
    SandboxTime: "Sandbox time", "サンドボックスの時刻";
    TimeTravel: "Move the sandbox's time", "サンドボックスの時刻を進める";
    AdvanceDay: "+1 day", "1日進める";
    AdvanceMonth: "+1 month", "1か月進める";
    AdvanceRenewal: "To next renewal", "次の更新日へ";
    SkipToContent: "Skip to content", "本文へ移動";
    BackTo: "Back to {merchant}", "{merchant}に戻る";
    LeaveFrame: "Going on", "移動しています";
    LeaveFrameGo: "Go on", "続ける";
    ContinueTo: "Continue to {merchant}", "{merchant}へ進む";

    // Dates and intervals.
    PerDay: "{amount} per day", "{amount}/日";
    PerWeek: "{amount} per week", "{amount}/週";
    PerMonth: "{amount} per month", "{amount}/月";
    PerYear: "{amount} per year", "{amount}/年";
    PerDays: "{amount} every {count} days", "{amount}/{count}日";
    PerWeeks: "{amount} every {count} weeks", "{amount}/{count}週間";
    PerMonths: "{amount} every {count} months", "{amount}/{count}か月";
    PerYears: "{amount} every {count} years", "{amount}/{count}年";
    Now: "now", "今";
    OneMinute: "1 minute", "1分";
    Minutes: "{count} minutes", "{count}分";
    OneHour: "1 hour", "1時間";
    Hours: "{count} hours", "{count}時間";
    OneDay: "1 day", "1日";
    Days: "{count} days", "{count}日";
    InSpan: "in {span}", "{span}後";
    SpanAgo: "{span} ago", "{span}前";
    TrialOneDay: "1 day", "1日間";
    TrialDays: "{count} days", "{count}日間";

    // Checkout.
    PayTitle: "Pay {merchant}", "{merchant}へのお支払い";
    SubscribeTitle: "Subscribe to {merchant}", "{merchant}のお申し込み";
    TrialTitle: "Try {merchant}", "{merchant}の無料体験";
    SetupTitle: "Save a card for {merchant}", "{merchant}で使うカードの登録";
    OrderHeading: "Your order", "ご注文内容";
    PaymentHeading: "Payment", "お支払い方法";
    DueToday: "Due today", "本日のお支払い";
    Subtotal: "Subtotal", "小計";
    PromotionCode: "Promotion code", "プロモーションコード";
    ApplyStep: "Apply", "適用する";
    CodeApplied: "The code {value} is applied.", "コード{value}が適用されています。";
    CodeRefused: "This code cannot be used here.", "このコードはここでは使えません。";
    Country: "Country for taxes (two letters)", "税金の対象国（2文字）";
    CountryApplied: "Taxes are those of {value}.", "{value}の税率が適用されています。";
    CountryRefused: "Give two letters, such as DE or JP.", "DEやJPのように2文字で入力してください。";
    Discount: "Discount", "割引";
    Tax: "Tax", "税";
    Quantity: "Quantity {count}", "数量 {count}";
    TrialFree: "{days} free.", "{days}無料です。";
    AfterTrial: "Then {price}, from {date}.", "{date}から{price}です。";
    AfterTrialCancel: "Cancel before then and you pay nothing.", "それまでに解約すれば、お支払いはありません。";
    RenewsUntilCancelled: "Renews until you cancel, which you can do at any time.", "解約するまで自動で更新されます。いつでも解約できます。";
    SetupLead: "Nothing is charged now. The card is kept for later payments.", "今回のお支払いはありません。カードは今後のお支払いに使います。";
    Email: "E-mail", "メールアドレス";
    CardNumber: "Card number", "カード番号";
    CardNumberHint: "Use a test card, never a real one.", "テスト用カードをお使いください。本物のカード番号は入力しないでください。";
    Expiry: "Expiry", "有効期限";
    ExpiryHint: "MM / YY", "月 / 年（2桁）";
    Cvc: "Security code", "セキュリティコード";
    CvcHint: "CVC, 3 or 4 digits", "3桁または4桁";
    NameOnCard: "Name on card", "カード名義";
    PayButton: "Pay {amount}", "{amount}を支払う";
    SubscribeButton: "Subscribe for {amount}", "{amount}で申し込む";
    TrialButton: "Start free trial", "無料体験を始める";
    SaveCardButton: "Save card", "カードを保存する";
    Working: "Working…", "処理しています…";
    CheckoutPromise: "{merchant} never sees your card number.", "カード番号が{merchant}に渡ることはありません。";
    NothingChargedYet: "You pay only when you press the button.", "ボタンを押すまで、お支払いは発生しません。";

    // Test cards.
    TestCards: "Test cards", "テスト用カード";
    TestCardsHint: "Any future date and any code will do.", "有効期限は未来の日付、コードは任意の数字で構いません。";
    CardPays: "Pays", "支払いが成功";
    CardDeclined: "Declined", "支払いを拒否";
    CardInsufficientFunds: "Declined: insufficient funds", "残高不足で拒否";
    CardAuthenticate: "Asks for 3-D Secure, then pays", "3Dセキュア認証のあと成功";
    CardAuthenticateAlways: "3-D Secure on every payment", "支払いのたびに3Dセキュア認証";
    CardAuthenticateOnce: "3-D Secure once, renewals pass", "初回のみ3Dセキュア認証";
    CardDeclinesLater: "Can be saved, every charge is declined", "登録は成功、支払いはすべて拒否";
    CardDisputed: "Pays, then is disputed", "支払い後に異議申し立て";

    // What went wrong.
    CheckForm: "Please check this", "入力内容をご確認ください";
    NotPaid: "The payment did not go through", "お支払いは完了していません";
    NotCharged: "You have not been charged.", "請求は発生していません。";
    ProblemNumber: "Enter the card number: 12 to 19 digits.", "カード番号を12〜19桁の数字で入力してください。";
    ProblemExpiry: "Enter the expiry as month and year, such as 04 / 30.", "有効期限を「04 / 30」のように月と年で入力してください。";
    ProblemExpired: "This card's expiry date has passed. Use another card.", "有効期限が過ぎています。別のカードをお使いください。";
    ProblemCvc: "Enter the 3 or 4 digit security code.", "セキュリティコードを3桁または4桁の数字で入力してください。";
    ProblemName: "Enter the name on the card.", "カード名義を入力してください。";
    ProblemEmail: "Enter an e-mail address, such as name@example.com.", "メールアドレスを「name@example.com」の形で入力してください。";
    DeclineGeneral: "The bank declined this card. Ask the bank, or use another card.", "カード会社に承認されませんでした。カード会社に問い合わせるか、別のカードをお使いください。";
    DeclineFunds: "The card has insufficient funds. Use another card.", "カードの残高または利用枠が足りません。別のカードをお使いください。";
    DeclineExpired: "The card has expired. Use another card.", "カードの有効期限が切れています。別のカードをお使いください。";
    DeclineCvc: "The security code is not right. Check it and try again.", "セキュリティコードが正しくありません。確認してもう一度お試しください。";
    DeclineNumber: "The card number is not right. Check it and try again.", "カード番号が正しくありません。確認してもう一度お試しください。";
    DeclineProcessing: "The bank could not process the card just now. Try again in a minute.", "カード会社で処理できませんでした。少し待ってからもう一度お試しください。";
    DeclineVelocity: "The card's limit has been reached. Use another card, or try again later.", "カードの利用限度に達しています。別のカードを使うか、時間をおいてお試しください。";
    DeclineAuthentication: "The bank asks for confirmation. Try again and confirm on the bank's page.", "カード会社の本人認証が必要です。もう一度お試しのうえ、認証を完了してください。";
    DeclineUnsupported: "This card cannot be used for this purchase. Use another card.", "このカードは今回のお支払いに使えません。別のカードをお使いください。";
    AuthenticationFailed: "The bank could not confirm that it was you. Try again, or use another card.", "本人認証が完了しませんでした。もう一度試すか、別のカードをお使いください。";

    // 3-D Secure.
    BankName: "Sandbox Bank", "サンドボックス銀行";
    SecureTitle: "Confirm this payment", "お支払いの確認";
    SecureTitleSetup: "Confirm your card", "カードの確認";
    SecureLead: "Your bank asks you to confirm that it is you.", "ご本人によるお手続きかどうか、カード会社が確認しています。";
    SecureMerchant: "Seller", "お支払い先";
    SecureAmount: "Amount", "金額";
    SecureCard: "Card", "カード";
    SecureComplete: "Complete authentication", "認証を完了する";
    SecureFail: "Fail authentication", "認証を失敗させる";
    SecureNote: "This page stands in for your bank's own. Nothing is charged until you confirm.", "カード会社の認証画面の代わりです。確認が終わるまで、請求は発生しません。";

    // The page of an invoice.
    InvoiceNumber: "Invoice {number}", "請求書番号 {number}";
    InvoiceDue: "Due now", "お支払い金額";
    PayWithSaved: "Pay with the card ending in {last4}", "登録済みのカード（下4桁 {last4}）で支払う";
    PayWithOther: "Or pay with another card", "別のカードで支払う";

    // What is asked beside the payment.
    Phone: "Telephone", "電話番号";
    BusinessName: "Business name", "会社名・屋号";
    IndividualName: "Full name", "氏名";
    TermsAccept: "I agree to the terms of service of {merchant}.", "{merchant}の利用規約に同意します。";
    NewsAccept: "{merchant} may send me news and offers.", "{merchant}からのお知らせやキャンペーン情報を受け取ります。";
    OptionalHeading: "Add to your order", "ご一緒にいかがですか";
    AddItem: "Add {name}", "{name}を追加する";
    RemoveItem: "Remove {name}", "{name}を外す";
    HowMany: "Quantity", "数量";
    HowManyOf: "Quantity of {name}", "{name}の数量";
    ChangeQuantity: "Change quantity", "数量を変更する";
    Optional: "optional", "任意";
    ShippingHeading: "Delivery address", "お届け先";
    ShipName: "Name", "お名前";
    ShipLine: "Street and number", "番地・建物名";
    ShipCity: "City", "市区町村";
    ShipPostal: "Postal code", "郵便番号";
    ShipCountry: "Country", "国";
    ShippingMethod: "Delivery", "配送方法";
    ProblemDetails: "Fill in every field as it asks.", "すべての項目を正しく入力してください。";
    BookButton: "Book for {amount}", "{amount}で予約する";
    DonateButton: "Donate {amount}", "{amount}を寄付する";
    FreeButton: "Complete the order", "注文を確定する";

    // Payments whose answer takes days.
    OtherWays: "Or pay another way", "ほかの方法で支払う";
    OtherWaysHint: "Test accounts of the sandbox. The answer comes after some days of sandbox time.", "サンドボックスのテスト口座です。結果はサンドボックスの数日後に届きます。";
    WayDebitPays: "Bank debit that succeeds", "口座振替（成功）";
    WayDebitFails: "Bank debit that fails", "口座振替（失敗）";
    WayStore: "Pay at a convenience store", "コンビニで支払う";
    PendingDebitTitle: "The bank is processing this payment", "銀行で処理中です";
    PendingStoreTitle: "Pay at a convenience store", "コンビニでお支払いください";
    PendingDebitLead: "It can take some days until the bank answers. Nothing more is needed from you.", "銀行からの回答には数日かかります。お客様の操作は必要ありません。";
    PendingStoreLead: "Give these numbers at the store by {date}.", "{date}までに、店舗で次の番号をお伝えください。";
    WayTransfer: "Bank transfer", "銀行振込";
    PendingTransferTitle: "Pay by bank transfer", "銀行振込でお支払いください";
    PendingTransferLead: "Send the amount to this account of the Sandbox Bank.", "サンドボックス銀行の次の口座へお振り込みください。";
    PendingAccount: "Account number", "口座番号";
    PendingConfirmation: "Confirmation number", "確認番号";
    PendingCode: "Payment code", "払込番号";
    PendingArrives: "Let the money arrive", "入金されたことにする";
    PendingFails: "Let the payment fail", "支払いを失敗させる";
    PendingNote: "Here you decide what the bank or the store says. No money moves.", "銀行や店舗の結果をここで選べます。お金は動きません。";

    // Sessions that are no longer open.
    CompleteTitle: "Thank you", "ありがとうございます";
    CompletePaid: "You paid {amount} to {merchant}.", "{merchant}に{amount}を支払いました。";
    CompleteFree: "Nothing was due today, so nothing was charged.", "本日のお支払いはなく、請求は発生していません。";
    AlreadyTitle: "This checkout is already complete", "このお手続きはすでに完了しています";
    AlreadyPaid: "{amount} was paid to {merchant}, once. You will not be charged again.", "{merchant}への{amount}のお支払いは一度だけ完了しています。二重に請求されることはありません。";
    ExpiredTitle: "This checkout has expired", "このお手続きは期限が切れました";
    ExpiredBody: "You have not been charged. Go back to {merchant} and start again.", "請求は発生していません。{merchant}に戻って、もう一度お手続きください。";
    ProcessingTitle: "The bank is working on it", "カード会社で処理しています";
    ProcessingBody: "This usually takes a few seconds. Do not pay again; reload this page to see the result.", "通常は数秒で終わります。もう一度支払わず、このページを再読み込みして結果をご確認ください。";
    NotFoundTitle: "This link leads nowhere", "ページが見つかりません";
    NotFoundBody: "It may be old or incomplete. Go back to the shop and start again. No money moved.", "リンクが古いか、途中で切れています。お店に戻って、もう一度お手続きください。お金は動いていません。";
    PortalClosedTitle: "This page has closed", "このページは閉じられました";
    PortalClosedBody: "It stays open for an hour. Go back to {merchant} and open it again. No money moved.", "このページは1時間で閉じます。{merchant}に戻って、もう一度開いてください。お金は動いていません。";
    RefusedTitle: "This could not be read", "内容を読み取れませんでした";
    RefusedBody: "Go back and try again. No money moved.", "前のページに戻って、もう一度お試しください。お金は動いていません。";
    FailedTitle: "Something failed here", "問題が発生しました";
    FailedBody: "Reload the page before you pay again: it shows what happened.", "もう一度支払う前に、ページを再読み込みして状態をご確認ください。";
    ForDevelopers: "For developers", "開発者向け情報";

    // Portal.
    PortalTitle: "Your plan and payments", "ご契約とお支払い";
    PortalFor: "For {customer}", "{customer} 様";
    Subscriptions: "Plan", "ご契約中のプラン";
    NoSubscriptions: "You have no plan. Nothing is charged.", "ご契約中のプランはありません。請求は発生しません。";
    StatusIncomplete: "Waiting for payment", "お支払い待ち";
    StatusIncompleteExpired: "Never started", "未成立";
    StatusTrialing: "Free trial", "無料体験中";
    StatusActive: "Active", "有効";
    StatusPastDue: "Payment failed", "お支払い失敗";
    StatusCanceled: "Ended", "終了";
    StatusUnpaid: "Unpaid", "未払い";
    StatusPaused: "Paused", "休止中";
    StatusEnding: "Ending", "解約予定";
    RenewsOn: "Renews on {date}, {relative}.", "{date}（{relative}）に更新されます。";
    EndsOn: "Ends on {date}, {relative}. You pay nothing more.", "{date}（{relative}）に終了します。今後の請求はありません。";
    TrialEndsOn: "Free until {date}, {relative}. Then {price}.", "{date}（{relative}）まで無料です。その後は{price}です。";
    IncompleteNote: "The plan starts when the first payment succeeds. Change the card to try again.", "最初のお支払いが完了すると始まります。カードを変更してもう一度お試しください。";
    PastDueNote: "{amount} could not be charged. Change the card to pay it now.", "{amount}のお支払いができませんでした。カードを変更するとお支払いできます。";
    PastDueNoteBare: "A payment could not be charged. Change the card to pay it now.", "お支払いができませんでした。カードを変更するとお支払いできます。";
    EndedNote: "This plan is over. Nothing more is charged.", "このプランは終了しました。今後の請求はありません。";
    PausedNote: "This plan is paused. Nothing is charged while it is.", "このプランは休止中です。休止中の請求はありません。";
    PausedUntilNote: "Paused until {date}, {relative}. Then a new period begins for {price}.", "{date}（{relative}）まで休止中です。その後、{price}で新しい期間が始まります。";
    PausePlan: "Pause plan", "プランを休止する";
    PauseLegend: "Paused until", "休止の終わり";
    PauseNote: "Nothing is charged during the pause. After it, a new period begins and {price} is charged to your card.", "休止中の請求はありません。終わると新しい期間が始まり、登録済みのカードに{price}が請求されます。";
    PauseOpenNote: "Nothing is charged until you resume the plan here.", "ここで再開するまで、請求はありません。";
    PauseButton: "Pause now", "休止する";
    ResumePlan: "Resume plan", "プランを再開する";
    ResumePlanNote: "A new period begins today and is charged to your card.", "今日から新しい期間が始まり、登録済みのカードに請求されます。";
    ChangePlan: "Change plan", "プランを変更する";
    ChangePlanLegend: "Choose a plan", "プランを選ぶ";
    ChangePlanNote: "Unused time on your plan now counts towards the new one.", "現在のプランの残り期間は、新しいプランの料金に充てられます。";
    ChangePlanNow: "What is still due is charged to your card at once.", "差額は、登録済みのカードにすぐに請求されます。";
    ChangePlanLater: "Nothing is charged now; your next invoice holds the difference.", "今すぐの請求はなく、差額は次回の請求に含まれます。";
    ChangePlanButton: "Change to this plan", "このプランに変更する";
    CurrentPlan: "your plan now", "現在のプラン";
    CancelPlan: "Cancel plan", "解約する";
    KeepPlan: "Keep plan", "解約を取り消す";
    CancelTitle: "Cancel {plan}?", "{plan}を解約しますか";
    CancelEffect: "Cancel on {date}. You keep {plan} until then, and pay nothing more.", "{date}に解約となります。それまで{plan}を使え、今後の請求はありません。";
    CancelTrialEffect: "The trial ends on {date}. You keep {plan} until then, and pay nothing.", "無料体験は{date}に終わります。それまで{plan}を使え、請求は発生しません。";
    CancelUndoNote: "You can change your mind until that day.", "その日までは、いつでも取り消せます。";
    CancelConfirm: "Cancel on {date}", "{date}に解約する";
    CancelBack: "Do not cancel", "解約しない";
    CardHeading: "Card", "お支払い用カード";
    CardEnding: "{brand} ending in {last4}", "{brand}（下4桁 {last4}）";
    CardExpires: "Expires {month}/{year}", "有効期限 {month}/{year}";
    NoCard: "No card on file.", "登録されているカードはありません。";
    ChangeCard: "Change card", "カードを変更する";
    AddCard: "Add a card", "カードを登録する";
    ChangeCardNote: "The new card is used from the next payment. An unpaid invoice is paid at once.", "新しいカードは次のお支払いから使われます。未払いの請求がある場合は、すぐにお支払いします。";
    Invoices: "Invoices", "請求履歴";
    NoInvoices: "No invoices yet.", "請求はまだありません。";
    ColumnDate: "Date", "日付";
    ColumnDescription: "For", "内容";
    ColumnAmount: "Amount", "金額";
    InvoiceDraft: "In preparation", "準備中";
    InvoiceOpen: "Unpaid", "未払い";
    InvoicePaid: "Paid", "支払い済み";
    InvoiceVoid: "Void", "無効";
    InvoiceUncollectible: "Written off", "回収不能";
    DetailsHeading: "Your details", "お客様情報";
    ChangeDetails: "Change your details", "お客様情報を変更する";
    SaveDetails: "Save", "保存する";
    NoticeCustomer: "Your details were changed.", "お客様情報を変更しました。";
    QuantityLabel: "Quantity", "数量";
    CancelReason: "Why do you cancel?", "解約の理由";
    CancelComment: "Anything else we should know", "ご意見・ご要望";
    ReasonExpensive: "It costs too much", "料金が高い";
    ReasonFeatures: "Something is missing", "必要な機能がない";
    ReasonSwitched: "Another service suits me better", "他のサービスに切り替える";
    ReasonUnused: "I do not use it enough", "あまり使っていない";
    ReasonService: "The support was not good", "サポートに不満がある";
    ReasonComplex: "It is too complicated", "使い方が難しい";
    ReasonQuality: "The quality was not good", "品質に不満がある";
    ReasonOther: "Another reason", "その他";
    StepConfirmTitle: "Confirm the change", "変更内容の確認";
    StepNow: "Now", "現在";
    StepThen: "After the change", "変更後";
    StepConfirmButton: "Confirm", "確定する";
    StepDoneTitle: "Done", "完了しました";
    StepDoneLead: "The change was made. You can close this page.", "変更が完了しました。このページは閉じてかまいません。";
    NoticeCancel: "The plan ends on {date}. You pay nothing more.", "{date}に解約となります。今後の請求はありません。";
    NoticeResumed: "The cancellation is undone. The plan goes on.", "解約を取り消しました。プランは継続します。";
    NoticePaused: "The plan is paused. Nothing is charged until you resume it.", "プランを休止しました。再開するまで請求はありません。";
    NoticePausedUntil: "The plan is paused until {date}. Nothing is charged until then.", "{date}まで休止しました。それまで請求はありません。";
    NoticePauseOver: "The plan goes on.", "プランを再開しました。";
    NoticeChanged: "You are on {plan} now.", "{plan}に変更しました。";
    NoticeCard: "The card was changed. Nothing was charged.", "カードを変更しました。請求は発生していません。";
    NoticeCardPaid: "The card was changed and {amount} was paid with it.", "カードを変更し、{amount}をお支払いしました。";
    NoticeChangeDeclined: "The plan stays as it was.", "プランは変わっていません。";

    // The owner of a connected account.
    OnboardTitle: "Tell who you are", "事業者情報の登録";
    OnboardLead: "This page plays the provider's own: what you type here goes to the sandbox only.", "この画面は決済事業者の登録画面の代わりです。入力内容はサンドボックスの外に出ません。";
    OnboardKind: "Who gets the money", "受取人の種類";
    OnboardPerson: "A person", "個人";
    OnboardCompany: "A company", "法人";
    OnboardName: "Full name, or the company's name", "氏名（法人の場合は法人名）";
    OnboardUrl: "Web site", "ウェブサイト";
    OnboardTestData: "Address, date of birth, numbers and bank account are filled in with test data.", "住所、生年月日、番号、銀行口座にはテスト用の値が入ります。";
    OnboardSubmit: "Accept the terms and submit", "規約に同意して登録";
    OnboardLater: "Save nothing and return", "登録せずに戻る";
    OnboardWrong: "Something is missing or wrong. Nothing was saved.", "入力に不足または誤りがあります。まだ何も登録されていません。";
    OnboardDue: "What is still wanted", "未提出の項目";
    ExpressTitle: "{merchant}: your account", "{merchant}のアカウント";
    ExpressCharges: "Payments", "支払いの受付";
    ExpressPayouts: "Payouts", "入金";
    ExpressBalance: "Balance", "残高";
    ExpressOn: "Enabled", "有効";
    ExpressOff: "Not enabled", "無効";
}
