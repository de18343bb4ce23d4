//! Every sentence that a customer reads, in each language, in one table.
//!
//! A sentence may hold `{names}` that [`say`] replaces. A test holds both languages to the same names. Operators' pages
//! are English only and keep their words beside their markup.

use quittance_domain::Access;

use super::layout::Locale;

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
    SkipToContent: "Skip to content", "本文へ移動";
    NavLabel: "Pages", "ページ";
    NavPlans: "Plans", "プラン";
    NavBilling: "Your plan", "ご契約内容";
    DemoBand: "Sandbox: no money moves here", "サンドボックス：お金は動きません";
    DemoControl: "Time travel and faults", "時刻と障害の操作";
    Copy: "Copy", "コピー";
    ForDevelopers: "For developers", "開発者向け情報";
    Working: "Working…", "処理しています…";
    BackToSite: "Back to {site}", "{site}に戻る";

    // Dates and intervals.
    PerDay: "{amount} per day", "{amount}/日";
    PerWeek: "{amount} per week", "{amount}/週";
    PerMonth: "{amount} per month", "{amount}/月";
    PerYear: "{amount} per year", "{amount}/年";
    JustPerDay: "per day", "/日";
    JustPerWeek: "per week", "/週";
    JustPerMonth: "per month", "/月";
    JustPerYear: "per year", "/年";
    JustOnce: "once", "買い切り";
    Now: "now", "今";
    OneMinute: "1 minute", "1分";
    Minutes: "{count} minutes", "{count}分";
    OneHour: "1 hour", "1時間";
    Hours: "{count} hours", "{count}時間";
    OneDay: "1 day", "1日";
    Days: "{count} days", "{count}日";
    InSpan: "in {span}", "{span}後";
    SpanAgo: "{span} ago", "{span}前";

    // Pricing.
    PricingTitle: "Plans", "プラン";
    PricingLead: "Start free. Change or cancel whenever you like.", "無料で始められます。変更も解約もいつでもできます。";
    IntervalLabel: "Billing interval", "お支払いの間隔";
    IntervalDay: "Daily", "日払い";
    IntervalWeek: "Weekly", "週払い";
    IntervalMonth: "Monthly", "月払い";
    IntervalYear: "Yearly", "年払い";
    IntervalOnce: "Once", "買い切り";
    CurrencyLabel: "Currency", "通貨";
    FreePrice: "Free", "無料";
    PriceUnavailable: "Not sold in this currency and interval.", "この通貨と間隔では販売していません。";
    TrialDayThen: "1 day free, then {price}", "1日間無料、その後{price}";
    TrialThen: "{count} days free, then {price}", "{count}日間無料、その後{price}";
    EverythingIn: "Everything in {plan}, and:", "{plan}のすべてに加えて：";
    UpTo: ", up to {count}", "（上限 {count}）";
    ChoosePlan: "Choose {plan}", "{plan}を選ぶ";
    TryPlan: "Try {plan} free", "{plan}を無料で試す";
    BuyPlan: "Buy {plan}", "{plan}を購入する";
    ChangeTo: "Change to {plan}", "{plan}に変更する";
    SignInToBuy: "Sign in to choose", "ログインして選ぶ";
    BuyInApp: "To choose a plan, sign in to {site} and open the plans from there.", "プランを選ぶには、{site}にログインし、そこからプランのページを開いてください。";
    YourPlan: "Your plan now", "現在のプラン";
    FreeForAll: "No card needed.", "カードの登録は不要です。";
    PurchasesHeading: "Buy once", "買い切り";
    DemoCustomer: "Demo: you are signed in as", "デモ：ログイン中のお客様";
    DemoCustomerChange: "Change", "変更する";
    DemoCustomerHint: "Any name will do. In your app this is your user's id.", "名前は自由です。実際のアプリでは、ユーザーのIDになります。";
    NoticeCheckoutCancelled: "You left the checkout. Nothing was charged.", "お手続きは中断されました。請求は発生していません。";
    NoticeCheckoutFailed: "The checkout could not be opened. Nothing was charged. Please try again in a minute.", "お支払い画面を開けませんでした。請求は発生していません。少し待ってからもう一度お試しください。";
    NoticeAlreadySubscribed: "You already have a plan. Nothing was charged. Change it under “Your plan”.", "すでにご契約中です。請求は発生していません。変更は「ご契約内容」からできます。";

    CodeLabel: "Promotion code", "クーポンコード";
    CodeApply: "Apply", "適用する";
    CodeRemove: "Remove", "取り消す";
    CodeApplied: "{code} is applied.", "「{code}」を適用しました。";
    CodeRefused: "“{code}” does not hold for these plans. You see the usual prices.", "「{code}」は、こちらのプランではご利用いただけません。通常の価格を表示しています。";
    UsualPrice: "Usual price:", "通常価格：";
    PriceForYou: "Your price:", "お支払い価格：";
    PercentOff: "{percent}% off", "{percent}%割引";
    AmountOff: "{amount} off", "{amount}割引";
    ReducedBy: "{name}: {off}.", "{name}：{off}。";
    OwnPrice: "A price agreed with you.", "お客様専用の価格です。";
    LastsOnce: "For the first payment, then {price}.", "初回のお支払いのみ。その後は{price}です。";
    LastsMonth: "For 1 month, then {price}.", "最初の1か月間。その後は{price}です。";
    LastsMonths: "For {count} months, then {price}.", "最初の{count}か月間。その後は{price}です。";

    // Back from the checkout.
    ReturnProcessing: "Confirming your payment", "お支払いを確認しています";
    ProcessingNormal: "We are waiting for the payment provider's confirmation. It usually takes a few seconds.", "決済会社からの確認を待っています。通常は数秒で終わります。";
    ProcessingSlow: "This takes longer than usual. You can close this page: your plan starts by itself once the payment is confirmed.", "通常より時間がかかっています。このページは閉じても構いません。お支払いが確認できしだい、自動でご利用いただけます。";
    ProcessingSafe: "This page updates itself. Please do not pay again.", "このページは自動で更新されます。もう一度お支払いにならないでください。";
    StepPaid: "You finished the checkout", "お支払い手続きの完了";
    StepConfirming: "The provider confirms the payment", "決済会社による確認";
    StepUnlock: "Your plan starts", "ご利用の開始";
    ReturnActive: "Thank you", "ありがとうございます";
    ActiveTitle: "{plan} is yours", "{plan}をご利用いただけます";
    YouPaid: "You paid {amount}.", "{amount}をお支払いいただきました。";
    NothingCharged: "Nothing was charged.", "請求は発生していません。";
    NothingRenews: "Nothing renews.", "更新はありません。";
    ThenRenews: "It renews on {date} for {price}.", "次の更新は{date}、{price}です。";
    TrialThenRenews: "Free until {date}, then {price}.", "{date}まで無料、その後{price}です。";
    UnlockedHeading: "What you can use now", "ご利用いただけるもの";
    SeeBilling: "See your plan", "ご契約内容を見る";
    EntitlementCurl: "Your app asks this before it shows something:", "アプリは、表示の前に次のように確認します。";
    ReturnOpen: "The checkout is not finished", "お手続きは終わっていません";
    ReturnOpenBody: "Nothing was charged yet.", "まだ請求は発生していません。";
    GoOnPaying: "Go on with the checkout", "お手続きを続ける";
    ReturnFailed: "The payment failed", "お支払いができませんでした";
    ReturnFailedBody: "You have not been charged. Please try again, or use another card.", "請求は発生していません。もう一度試すか、別のカードをお使いください。";
    ReturnExpired: "This checkout has expired", "お手続きの期限が切れました";
    ReturnExpiredBody: "You have not been charged. Please choose your plan again.", "請求は発生していません。もう一度プランをお選びください。";
    ReturnUnknown: "We do not know this checkout", "このお手続きが見つかりません";
    ReturnUnknownBody: "The link may be incomplete. Opening it charged nothing. If you have paid, your plan starts by itself within a few minutes.", "リンクが途中で切れている可能性があります。このページを開いても請求は発生しません。お支払い済みの場合は、数分以内に自動でご利用いただけます。";
    ReturnDuplicate: "You already had this plan", "すでにご契約中のプランです";
    ReturnDuplicateBody: "The second payment of {amount} was given back. One plan goes on.", "二度目のお支払い{amount}は返金しました。ご契約は一つだけ続きます。";
    BackToPlans: "See the plans", "プランを見る";

    // Billing.
    BillingTitle: "Your plan", "ご契約内容";
    BillingFor: "For {customer}", "{customer} 様";
    PlansHeading: "Plan", "プラン";
    OnFreePlan: "You are on {plan}. Nothing is charged.", "{plan}をご利用中です。請求は発生しません。";
    NoPlan: "You have no plan. Nothing is charged.", "ご契約中のプランはありません。請求は発生しません。";
    SeePlans: "See the plans", "プランを見る";
    AccessGranted: "Active", "利用中";
    AccessGrace: "Payment failed", "お支払い失敗";
    AccessPending: "Waiting for payment", "お支払い待ち";
    AccessRevoked: "Ended", "終了";
    NextRenews: "Renews on {date}, {relative}.", "{date}（{relative}）に更新されます。";
    NextEnds: "Ends on {date}, {relative}. You pay nothing more.", "{date}（{relative}）に終了します。今後の請求はありません。";
    NextTrialEnds: "Free until {date}, {relative}. The first payment follows then.", "{date}（{relative}）まで無料です。その後、最初のお支払いとなります。";
    GraceTitle: "The last payment failed", "前回のお支払いができませんでした";
    NextGraceOwed: "You keep everything until {date}, {relative}. Pay {amount} before then to go on.", "{date}（{relative}）までは、これまでどおり使えます。続けるには、それまでに{amount}をお支払いください。";
    NextGrace: "You keep everything until {date}, {relative}. Change your card before then to go on.", "{date}（{relative}）までは、これまでどおり使えます。続けるには、それまでにカードを変更してください。";
    NextWaiting: "The plan starts when the first payment is confirmed.", "最初のお支払いが確認できると始まります。";
    NextPaused: "Paused. Nothing is charged while it is.", "休止中です。休止中の請求はありません。";
    NextOver: "This plan is over. Nothing more is charged.", "このプランは終了しました。今後の請求はありません。";
    NextOverSince: "This plan ended on {date}. Nothing more is charged.", "このプランは{date}に終了しました。今後の請求はありません。";
    NextUnpaid: "This plan stopped because a payment failed. Pay it to go on.", "お支払いができなかったため停止しています。お支払いいただくと再開します。";
    NextUnpaidSince: "This plan stopped on {date} because a payment failed. Pay it to go on.", "お支払いができなかったため、{date}に停止しました。お支払いいただくと再開します。";
    IssueTitle: "Please pay this", "お支払いをお願いします";
    IssueDeclined: "{amount} could not be charged to your card.", "{amount}をカードに請求できませんでした。";
    IssueAction: "Your bank wants you to confirm the payment of {amount}.", "{amount}のお支払いには、カード会社の本人認証が必要です。";
    IssueNoMethod: "{amount} is due, and there is no card to charge.", "{amount}のお支払いが必要ですが、カードが登録されていません。";
    IssueProcessing: "The payment of {amount} is under way. You need not do anything.", "{amount}のお支払いを処理しています。お客様の操作は必要ありません。";
    IssueDue: "{amount} is due.", "{amount}のお支払い期限です。";
    IssueNextTry: "We try again on {date}, {relative}.", "{date}（{relative}）にもう一度お支払いを試みます。";
    PayAmount: "Pay {amount} now", "{amount}を支払う";
    ConfirmPayment: "Confirm the payment", "本人認証に進む";
    NoticeNothingToPay: "There is nothing to pay any more. Thank you.", "お支払いは完了しています。ありがとうございます。";
    Manage: "Manage plan and card", "プランとカードを管理する";
    PayNow: "Pay or change the card", "支払う・カードを変更する";
    ManageHint: "Opens our payment provider's page: card, plan, cancelling and invoices.", "決済会社のページが開きます。カード、プラン、解約、請求書を管理できます。";
    BoughtHeading: "Bought once", "買い切り";
    ColumnWhat: "For", "内容";
    ColumnDate: "Date", "日付";
    ColumnAmount: "Amount", "金額";
    Refunded: "Refunded", "返金済み";
    EntitlementsHeading: "What you can use", "ご利用いただけるもの";
    NoEntitlements: "Nothing yet.", "まだありません。";
    UsedOf: ", {used} of {limit} used", "（{limit}のうち{used}を使用）";
    Used: ", {used} used", "（{used}を使用）";
    Until: "until {date}", "{date}まで";
    NoticeBackFromPortal: "Changes that you made show here within a few seconds.", "変更した内容は、数秒でこのページに反映されます。";
    NoticePortalFailed: "The payment provider's page could not be opened. Nothing was changed or charged. Please try again in a minute.", "決済会社のページを開けませんでした。変更も請求も行われていません。少し待ってからもう一度お試しください。";

    // The demo of a checkout on a page of the app.
    EmbeddedTitle: "Pay on your own page", "自分のページで支払う";
    EmbeddedLead: "The buyer stays on the app's page. The payment form is the provider's, in a frame: card numbers go to the provider only.", "お客様はアプリのページから離れません。お支払いフォームは決済会社のもので、枠の中に表示されます。カード番号は決済会社だけに送られます。";
    EmbeddedTry: "Buy {plan}", "{plan}を購入する";
    EmbeddedBuy: "Buy {plan}", "{plan}の購入";
    EmbeddedBack: "Other ways to pay", "ほかの支払い方法";
    EmbeddedSafe: "What you type below goes to the sandbox, which stands for the payment provider.", "下に入力した内容は、決済会社の代わりとなるサンドボックスに送られます。";
    EmbeddedNoScript: "The payment form needs JavaScript. Without it, use the hosted checkout.", "お支払いフォームの表示にはJavaScriptが必要です。ご利用になれない場合は、決済会社のページでお支払いください。";
    EmbeddedLink: "Try it on a page of the app", "アプリのページに埋め込んで試す";

    // Mails.
    MailTitle: "Which mails you get", "お受け取りになるメール";
    MailChoose: "You can choose these", "お選びいただけるメール";
    MailSave: "Save", "保存する";
    MailSaved: "Saved.", "保存しました。";
    MailAlways: "You always get these", "必ずお届けするメール";
    MailAlwaysWhy: "They are about your contract and your money, or the law asks for them.", "ご契約やお支払いに関わるもの、法令などで求められるものです。";
    MailLinkUnknown: "This link is not complete", "リンクが正しくありません";
    MailLinkUnknownBody: "Copy the whole link from the mail, or sign in to {site}. Nothing was charged or changed.", "メールのリンク全体をコピーするか、{site}にログインしてください。請求や変更は行われていません。";
    MailLinkOver: "This link has run out", "リンクの有効期限が切れました";
    MailLinkOverBody: "Sign in to {site} to go on. Nothing was charged or changed.", "お手続きは{site}にログインして行ってください。請求や変更は行われていません。";
    MailLinkSettled: "There is nothing to pay", "お支払いは必要ありません";
    MailLinkSettledBody: "This invoice is settled: it was paid, or is no longer asked for.", "この請求はすでにお支払い済みか、取り消されています。";
    MailAskCard: "Change your payment method", "お支払い方法の変更";
    MailAskCardBody: "You go on to our payment provider's page. Nothing is charged by opening it.", "決済会社のページに移動します。ページを開いても請求は発生しません。";
    MailAskCardGo: "Go on", "お支払い方法を変更する";
    MailAskCancel: "Cancel your plan", "ご解約の手続き";
    MailAskCancelBody: "You go on to our payment provider's page, where you confirm. Nothing is cancelled yet.", "決済会社のページに移動し、内容を確認のうえお手続きいただきます。この時点では解約されません。";
    MailAskCancelGo: "Go on to cancel", "解約の手続きに進む";
    NoticeMethod: "Please add or change your payment method below.", "下のボタンから、お支払い方法を登録または変更してください。";
    ChangeMethod: "Change payment method", "お支払い方法を変更する";
    PortalChange: "Change on the provider's page", "決済会社のページで変更する";
    PortalCancel: "Cancel on the provider's page", "決済会社のページで解約する";
    NoticeChanged: "Done. If it does not show here yet, reload the page in a few seconds.", "手続きが完了しました。まだ反映されていない場合は、数秒後に再読み込みしてください。";
    NoticeDeclined: "The payment was declined. Nothing was changed or charged. Change your card and try again.", "お支払いが承認されませんでした。変更も請求も行われていません。カードを変更して、もう一度お試しください。";
    NoticeStale: "The cost has changed since you saw it, so nothing was changed or charged. Please look again.", "表示された金額が変わったため、変更も請求も行われていません。もう一度ご確認ください。";
    NoticeOwed: "A payment is open, so nothing was changed or charged. Please pay it first; you can then change your plan.", "未払いのお支払いがあるため、変更も請求も行われていません。先にお支払いを済ませてから、プランを変更してください。";
    NoticePending: "This could not be done just now. Look at your plan in a minute before you try again.", "今は手続きできませんでした。少し待ってご契約内容を確認してから、もう一度お試しください。";
    AheadPlanned: "Changes to {plan} on {date}.", "{date}に{plan}へ変わります。";
    AheadWaitsTitle: "Your bank asks you to confirm", "カード会社による本人確認が必要です";
    AheadWaits: "{plan} starts once you confirm the payment, until {date}. Until then nothing changes.", "{date}までにお支払いを確認していただくと、{plan}が始まります。それまでは何も変わりません。";
    KeepPlan: "Keep the present plan", "今のプランを続ける";
    ResumePlan: "Go on with this plan", "このプランを再開する";
    ChangePlan: "Change plan", "プランを変更する";
    ChangePlanTo: "Change to", "変更後のプラン";
    HowMany: "How many", "数量";
    SeeCost: "See the cost", "金額を確認する";
    SeeCostHint: "Nothing is changed yet.", "まだ変更されません。";
    CancelPlan: "Cancel plan", "解約する";
    CancelEffect: "You keep everything until {date}, and pay nothing more.", "{date}まではこれまでどおり使えます。今後の請求はありません。";
    CancelEffectSoon: "You keep what is paid for, and pay nothing more.", "お支払い済みの期間は使えます。今後の請求はありません。";
    CancelWhy: "Why (you need not say)", "理由（任意）";
    CancelNow: "Cancel with this period", "期間の終わりで解約する";
    ReasonNone: "I would rather not say", "回答しない";
    ReasonTooExpensive: "It is too expensive", "料金が高い";
    ReasonUnused: "I do not use it enough", "あまり使っていない";
    ReasonMissingFeatures: "Something is missing", "必要な機能がない";
    ReasonSwitchedService: "I use something else now", "別のサービスを使うことにした";
    ReasonLowQuality: "The quality is not good enough", "品質に満足できない";
    ReasonCustomerService: "The support was not good enough", "サポートに満足できない";
    ReasonTooComplex: "It is too complicated", "使い方が難しい";
    ReasonOther: "Something else", "その他";
    ConfirmTitle: "Confirm the change", "変更内容の確認";
    ConfirmNow: "It starts at once. You pay {amount} now, and {price} from then on, before discounts and tax.", "すぐに始まります。今回のお支払いは{amount}、以後は{price}です（割引・税の前の金額）。";
    ConfirmLater: "It starts on {date}. You pay nothing now, and {price} from then on, before discounts and tax. You keep your present plan until then.", "{date}に始まります。今回のお支払いはなく、以後は{price}です（割引・税の前の金額）。それまでは今のプランを使えます。";
    ConfirmChange: "Change", "変更する";
    KeepAsIs: "Leave it as it is", "変更しない";

    // Errors.
    ProblemNotFound: "This page does not exist", "ページが見つかりません";
    AdviceNotFound: "Check the address, or go on from the plans.", "アドレスを確認するか、プランのページからお進みください。";
    ProblemBadRequest: "This could not be read", "内容を読み取れませんでした";
    AdviceBadRequest: "Go back, reload the page and try again.", "前のページに戻って再読み込みし、もう一度お試しください。";
    ProblemForbidden: "This is not open to you", "このページは表示できません";
    AdviceForbidden: "Sign in to {site} and open it from there. Links to this page work for an hour.", "{site}にログインし、そこから開いてください。このページへのリンクは1時間有効です。";
    ProblemOperators: "This page is for operators", "運営者用のページです";
    AdviceOperators: "Reload it and give an API key with the admin scope as the password; any name will do.", "再読み込みして、admin権限のあるAPIキーをパスワードに入力してください。ユーザー名は何でも構いません。";
    ProblemConflict: "This is already settled", "すでに手続き済みです";
    AdviceConflict: "Look at your plan before you try again.", "もう一度試す前に、ご契約内容をご確認ください。";
    ProblemBusy: "Too much at once", "混み合っています";
    AdviceBusy: "Wait a minute and try again.", "少し待ってから、もう一度お試しください。";
    ProblemProvider: "The payment provider does not answer", "決済会社から応答がありません";
    AdviceProvider: "Wait a minute and try again. What you have stays as it is.", "少し待ってから、もう一度お試しください。ご契約内容は変わりません。";
    ProblemInternal: "Something failed on our side", "こちらで問題が発生しました";
    AdviceInternal: "Reload the page in a minute. If it stays, tell us the code below.", "少し待ってから再読み込みしてください。続く場合は、下のコードをお知らせください。";
    MoneyNotMoved: "No money moved.", "お金は動いていません。";
    MoneyMoved: "The payment went through. Do not pay again.", "お支払いは完了しています。もう一度お支払いにならないでください。";
    MoneyUnknown: "We do not know yet whether the payment went through. Do not pay again: it is found out by itself within minutes.", "お支払いが完了したか、まだ分かりません。数分以内に自動で確認されますので、もう一度お支払いにならないでください。";
}

/// Words for an access.
pub(super) fn access_word(access: Access) -> Text {
    match access {
        Access::Granted => Text::AccessGranted,
        Access::Grace => Text::AccessGrace,
        Access::Pending => Text::AccessPending,
        Access::Revoked => Text::AccessRevoked,
    }
}
